import { createNoiseSampler, type NoiseSampler } from '../../crypto/noise.ts';
import type { Primitives, Rng } from '../../crypto/primitives.ts';
import { addNoise, type Quantiser, quantise } from '../../crypto/quantise.ts';
import { SecretBytes, wipe } from '../../crypto/secret.ts';
import { loadNoiseModule } from '../platform/noise-module.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';

/** Turns real vectors into what a round sums: clipped, rounded, with this node's part of the noise. */
export class NoisedIntegers {
  readonly #rng: Rng;
  readonly #primitives: Pick<Primitives, 'aes256Ctr'> = nodePrimitives;
  /** Tables of a variance take milliseconds to derive. */
  readonly #samplers = new Map<string, NoiseSampler>();
  #module: WebAssembly.Module | null = null;

  /** @param rng - fresh secret bytes; the operating system's but for tests. */
  constructor(rng: Rng = systemRng) {
    this.#rng = rng;
  }

  /**
   * Seeds are drawn anew for every call: first 32 bytes for the rounding, then 32 for the noise; both are wiped.
   *
   * Noise: an exact discrete Gaussian of the quantiser's variance on every coordinate.
   *
   * @param vector - taken over and wiped, also when this throws.
   * @returns `dimension` integers below 2^(bits - 1) in magnitude. Secret until they are encrypted.
   * @throws CryptoError BAD_LENGTH, BAD_VALUE, OUT_OF_RANGE.
   */
  of(quantiser: Quantiser, vector: Float64Array): Int32Array {
    using roundingSeed = new SecretBytes('rounding seed', this.#rng(32));
    using noiseSeed = new SecretBytes('noise seed', this.#rng(32));
    const noise = new Int32Array(quantiser.dimension);
    try {
      const values = quantise(quantiser, this.#primitives, roundingSeed.bytes, vector);
      this.#samplerOf(quantiser).sample(noiseSeed.bytes, noise);
      addNoise(quantiser, values, noise);
      return values;
    } finally {
      wipe(noise);
      wipe(vector);
    }
  }

  #samplerOf({ variance }: Quantiser): NoiseSampler {
    const key = `${variance.sigma2Numerator}/${variance.sigma2Denominator}`;
    const known = this.#samplers.get(key);
    if (known) return known;
    this.#module ??= loadNoiseModule();
    const made = createNoiseSampler(this.#module, this.#primitives, variance);
    this.#samplers.set(key, made);
    return made;
  }
}
