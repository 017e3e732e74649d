import { readFileSync } from 'node:fs';

/** The compiled sampler of crypto/kernel/gaussian.ts, built by scripts/build-kernel.mjs. One per process is enough. */
export function loadNoiseModule(): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL('../../build/gaussian.wasm', import.meta.url)));
}
