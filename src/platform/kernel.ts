import { readFileSync } from 'node:fs';

let compiled: WebAssembly.Module | undefined;

/**
 * The compiled ring kernel, once per process. Found at ../../build from this file: build/ of a checkout, dist/build/ of a
 * package.
 *
 * @throws Error that says how to build it, if it is not there.
 */
export function loadKernelModule(): WebAssembly.Module {
  if (compiled) return compiled;
  const location = new URL('../../build/kernel.wasm', import.meta.url);
  let bytes: Buffer<ArrayBuffer>;
  try {
    bytes = readFileSync(location);
  } catch (cause) {
    throw new Error(
      'build/kernel.wasm is missing: run `npm run build:kernel` (it needs the development dependencies)',
      {
        cause,
      },
    );
  }
  compiled = new WebAssembly.Module(bytes);
  return compiled;
}
