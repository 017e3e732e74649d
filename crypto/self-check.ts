import { utf8 } from './encoding.ts';
import type { GaussianStream, PublicStream, RingEngine } from './engine.ts';
import { CryptoError } from './errors.ts';
import type { Primitives } from './primitives.ts';

/**
 * Known work done by two engines, compared word for word: at start-up the kernel against node-seal. Inputs are fixed (no
 * secret is involved) and hold the largest values and residues that the shape allows.
 *
 * @throws CryptoError ENGINE_MISMATCH if any byte differs or the sum does not open.
 */
export function selfCheck(primitives: Primitives, first: RingEngine, second: RingEngine): void {
  const { degree, slotsPerCoefficient, valueBits, primes } = first.shape;
  const coefficients = 256;
  const largest = 2 ** (valueBits - 1) - 1;
  const values = Int32Array.from({ length: coefficients * slotsPerCoefficient - 5 }, (_, i) =>
    i % 3 === 0 ? largest : i % 3 === 1 ? -largest : (i % (2 * largest + 1)) - largest,
  );
  const stream = (name: string, length: number): Uint8Array =>
    primitives.aes256Ctr(primitives.sha256(utf8(`veilsum self-check ${name}`)), length);
  const a: PublicStream = (prime, length) => stream(`a ${prime}`, length);
  const gaussian = (name: string): GaussianStream => ({
    first: (length) => stream(`${name} first`, length),
    rest: (length) => stream(`${name} rest`, length),
  });

  const work = (engine: RingEngine, other: RingEngine): Uint8Array[] => {
    const key = new Int16Array(degree);
    engine.sampleGaussian(gaussian('k'), key);
    using sealer = engine.sealer(key);
    const wire = sealer.seal(values, coefficients, a, gaussian('e'));
    // What one engine made, the other adds and opens.
    using sum = other.sum(coefficients);
    sum.add(wire);
    sum.add(wire);
    using opener = other.opener(Int32Array.from(key, (x) => 2 * x));
    const opened = new Int32Array(values.length);
    if (!opener.open(sum.wire(), coefficients, a, opened) || opened.some((x, i) => x !== 2 * values[i]!)) mismatch();
    using checksum = engine.checksum(1, (index, length) => stream(`u ${index}`, length));
    checksum.add(
      Uint32Array.from(primes, (q) => q - 1),
      wire,
      coefficients,
    );
    return [new Uint8Array(key.buffer), wire, sum.wire(), new Uint8Array(checksum.value().buffer)];
  };

  const results = work(first, second);
  for (const [i, bytes] of work(second, first).entries())
    if (bytes.length !== results[i]!.length || bytes.some((byte, at) => byte !== results[i]![at])) mismatch();
}

function mismatch(): never {
  throw new CryptoError('ENGINE_MISMATCH', 'two ring engines disagree: do not use either');
}
