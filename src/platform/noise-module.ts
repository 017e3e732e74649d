import { readFileSync } from 'node:fs';

/** The compiled sampler of crypto/kernel/noise.ts, built by scripts/build-kernel.mjs. One per process is enough. */
export function loadNoiseModule(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL('../../build/noise.wasm', import.meta.url)));
}
