import { CryptoError } from './errors.ts';
import { deriveGaussianTable, type GaussianTable, type Variance } from './gaussian-table.ts';
import { createKeyChain } from './key-chain.ts';
import type { Primitives } from './primitives.ts';

/** What crypto/kernel/noise.ts exports; addresses and sizes in bytes. */
export interface GaussianKernel {
  readonly memory: WebAssembly.Memory;
  batchSize(): number;
  slots(): number;
  highAddress(): number;
  lowAddress(): number;
  factorAddress(): number;
  randomAddress(): number;
  randomBytes(): number;
  valueAddress(): number;
  keptAddress(): number;
  flagAddress(): number;
  outputAddress(): number;
  configure(entries: number, shift: number, factors: number, log2Rate: number): void;
  decide(count: number): number;
  resolve(count: number, flagged: number): void;
  sample(count: number): number;
  wipe(): void;
}

/** Draws from one discrete Gaussian D_{Z,sigma}: P(x) proportional to exp(-x^2 / 2 sigma^2) over all integers. */
export interface NoiseSampler {
  /**
   * Fills `out` with independent samples, determined by the seed and `out.length`.
   *
   * Total variation from the ideal below 2^-100 per sample given uniform randomness (proof: crypto/docs/noise.md), which
   * AES-256-CTR supplies. No secret-dependent branch or address, but for an event of probability under 2^-68 per batch.
   *
   * @param seed - 32 fresh secret bytes for this call alone. Not wiped here.
   * @throws CryptoError BAD_LENGTH for another seed length.
   */
  sample(seed: Uint8Array, out: Int32Array): void;
  /** No sample is larger in magnitude. */
  readonly largestMagnitude: number;
}

/**
 * Prepares the tables of one variance; sigma up to 2^23, any positive fraction.
 *
 * @param module - compiled crypto/kernel/noise.ts; each sampler has an instance of its own, wiped after every call.
 * @throws CryptoError BAD_VALUE, OUT_OF_RANGE: see deriveGaussianTable.
 */
export function createNoiseSampler(
  module: WebAssembly.Module,
  primitives: Pick<Primitives, 'aes256Ctr'>,
  variance: Variance,
): NoiseSampler {
  const table = deriveGaussianTable(variance);
  const kernel = instantiateGaussianKernel(module, table);
  const random = new Uint8Array(kernel.memory.buffer, kernel.randomAddress(), kernel.randomBytes());
  const output = new Int32Array(kernel.memory.buffer, kernel.outputAddress(), kernel.batchSize());

  return {
    largestMagnitude: table.largestMagnitude,
    sample(seed, out) {
      using keys = createKeyChain(primitives, seed);
      let filled = 0;
      try {
        while (filled < out.length) {
          const keystream = primitives.aes256Ctr(keys.next(), random.length);
          random.set(keystream);
          keystream.fill(0);
          const got = kernel.sample(candidatesFor(out.length - filled, kernel.batchSize()));
          // Counted in the proof: fewer than one batch in 2^170.
          if (got < 0) throw new CryptoError('ENGINE_FAILED', 'too many candidates need a second look');
          const used = Math.min(got, out.length - filled);
          out.set(output.subarray(0, used), filled);
          filled += used;
        }
      } finally {
        kernel.wipe();
      }
    },
  };
}

/** Candidates to judge for `missing` samples: at least half of all candidates are kept. A multiple of 4; public. */
function candidatesFor(missing: number, batchSize: number): number {
  return Math.min(batchSize, 4 * Math.ceil((2 * missing + 64) / 4));
}

/** A fresh instance that holds `table`. The tests drive it step by step; everything else goes through createNoiseSampler. */
export function instantiateGaussianKernel(module: WebAssembly.Module, table: GaussianTable): GaussianKernel {
  const kernel = new WebAssembly.Instance(module, {}).exports as unknown as GaussianKernel;
  kernel.configure(table.thresholds.length, table.shift, table.factors.length, table.log2Rate);
  const view = new DataView(kernel.memory.buffer);
  const lowWord = 0xffffffffffffffffn;
  table.thresholds.forEach((threshold, i) => {
    // Compared as signed words, hence the flipped top bit; twice, for both lanes.
    const high = (threshold >> 64n) ^ (1n << 63n);
    view.setBigUint64(kernel.highAddress() + 16 * i, high, true);
    view.setBigUint64(kernel.highAddress() + 16 * i + 8, high, true);
    view.setBigUint64(kernel.lowAddress() + 8 * i, threshold & lowWord, true);
  });
  table.factors.forEach((factor, i) => {
    view.setBigUint64(kernel.factorAddress() + 16 * i, factor & lowWord, true);
    view.setBigUint64(kernel.factorAddress() + 16 * i + 8, factor >> 64n, true);
  });
  return kernel;
}
