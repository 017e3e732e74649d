import { beforeAll, describe, expect, it } from 'vitest';
import { DOMAIN } from '../../crypto/domain.ts';
import { toHex, u32le, utf8 } from '../../crypto/encoding.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import { expandUniform, unpackBlock } from '../../crypto/packing.ts';
import { type RoundParameters, ringShape } from '../../crypto/params.ts';
import { createEncryptor, type PayloadContext, publicStream } from '../../crypto/payload.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { deriveSeeds, subsets } from '../../crypto/sharing.ts';
import { infoWithLabel } from '../../crypto/signature.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { contextOf, hashOf, kernelOf, parametersOf, valuesOf } from '../reference/engines.ts';
import { openWith } from '../reference/quorum-lab.ts';
import { inverse, minimalRoot } from '../reference/ring-model.ts';

/**
 * The root of a one-time key has 256 bits. If it had 16, the payload alone would give it away: for each root, expand the
 * key and look whether one coefficient after another of c + a*k leaves a small remainder.
 */

const SHORT_BITS = 16;
let parameters: RoundParameters;
let context: PayloadContext;
/** a in coefficient form, reversed so that the product's coefficient c is one inner product, per prime. */
let publicElement: Float64Array[];

beforeAll(async () => {
  parameters = parametersOf({ dimension: 900 });
  context = contextOf(parameters, await kernelOf(parameters));
  publicElement = parameters.primes.map((prime, i) => {
    const ntt = expandUniform(publicStream(context, 0), i, prime, parameters.ringDegree);
    const q = BigInt(prime);
    const root = minimalRoot(q, BigInt(2 * parameters.ringDegree));
    return Float64Array.from(inverse(Array.from(ntt, BigInt), root, q), Number);
  });
});

const shorten = (root: Uint8Array): Uint8Array => new Uint8Array(32).fill(0, 2).map((_, i) => (i < 2 ? root[i]! : 0));

/** Primitives under which the root of a one-time key keeps its first 16 bits: the weakened check. */
function shortRoots(): Primitives {
  const label = toHex(utf8(DOMAIN.oneTimeKey));
  return {
    ...p,
    hkdfSha256: (key, salt, info, length) => {
      const out = p.hkdfSha256(key, salt, info, length);
      return salt.length === 32 && toHex(info).startsWith(label) ? shorten(out) : out;
    },
  };
}

/** Key of a root, as the payload expands it. */
function keyOf(root: Uint8Array): Int16Array {
  const keys = p.hkdfSha256(root, new Uint8Array(0), infoWithLabel(DOMAIN.oneTimeKey), 64);
  const key = new Int16Array(parameters.ringDegree);
  const expand = (from: number, length: number) => p.aes256Ctr(keys.subarray(from, from + 32), length);
  context.engine.sampleGaussian({ first: (n) => expand(0, n), rest: (n) => expand(32, n) }, key);
  return key;
}

/** Coefficient c of a*k mod q: sums below 2^28 * 86 * 4096 < 2^47 are exact in a double. */
function productAt(a: Float64Array, key: Int16Array, c: number, q: number): number {
  let sum = 0;
  for (let i = 0; i <= c; i++) sum += a[c - i]! * key[i]!;
  for (let i = c + 1; i < key.length; i++) sum -= a[c + key.length - i]! * key[i]!;
  return ((sum % q) + q) % q;
}

/** The first of the short roots, 2^16 unless told otherwise, whose key fits the payload, as that key; null if none does. */
function bruteForce(wire: Uint8Array, candidates = 2 ** SHORT_BITS): Int16Array | null {
  const shape = ringShape(parameters);
  const residues = unpackBlock(shape, wire, parameters.lastBlockCoefficients);
  const primes = parameters.primes.map(BigInt);
  const Q = primes.reduce((product, q) => product * q, 1n);
  const basis = primes.map((q) => {
    let inverseRest = 1n;
    for (let e = q - 2n, base = (Q / q) % q; e > 0n; e >>= 1n, base = (base * base) % q)
      if (e & 1n) inverseRest = (inverseRest * base) % q;
    return ((Q / q) * inverseRest) % Q;
  });
  const bound = BigInt(parameters.errorBound);
  const range = 1n << BigInt(parameters.slotBits * parameters.slotsPerCoefficient + parameters.logDelta - 1);
  const fitsAt = (key: Int16Array, c: number): boolean => {
    let x = 0n;
    for (const [i, a] of publicElement.entries()) {
      const q = parameters.primes[i]!;
      x += basis[i]! * BigInt((residues[i]![c]! + productAt(a, key, c, q)) % q);
    }
    x %= Q;
    if (2n * x > Q) x -= Q;
    const remainder = BigInt.asIntN(parameters.logDelta, x);
    return remainder <= bound && remainder >= -bound && x < range && x >= -range;
  };
  for (let candidate = 0; candidate < candidates; candidate++) {
    const key = keyOf(shorten(u32le(candidate)));
    let c = 0;
    while (c < 32 && fitsAt(key, c)) c++;
    if (c === 32) return key;
  }
  return null;
}

describe('P15: one-time keys carry full entropy', () => {
  const values = () => valuesOf('secret update', 900, 16);
  const wireUnder = (primitives: Primitives): Uint8Array => {
    using seed = new SecretBytes('seed', systemRng(32));
    using encryptor = createEncryptor({ ...context, primitives }, values(), seed);
    return encryptor.block(0);
  };

  it('no short root fits a payload', () => {
    expect(bruteForce(wireUnder(p), 2 ** 13)).toBeNull(); // an eighth of them: the rest is as far off
  });

  it('control: a root shortened to 16 bits is found from the payload alone, and opens it', () => {
    const wire = wireUnder(shortRoots());
    expect(openWith(context, Int32Array.from(bruteForce(wire)!), [wire])).toEqual(values());
  });
});

describe('P15: 32 bytes of seed, end to end', () => {
  /** Which of a secret's 256 bits change what is derived from it. */
  function bitsThatMatter(derive: (secret: Uint8Array) => string): number {
    const secret = hashOf('some secret');
    const outputs = new Set([derive(secret)]);
    for (let bit = 0; bit < 256; bit++) {
      const flipped = secret.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      outputs.add(derive(flipped));
    }
    return outputs.size - 1;
  }

  it('every bit of an upload’s, an attempt’s and a round key’s seed counts; of an X25519 secret all but the clamped ones', () => {
    const update = valuesOf('secret update', 900, 16);
    const oneTimeKey = (bytes: Uint8Array): string => {
      using seed = new SecretBytes('seed', bytes.slice());
      using encryptor = createEncryptor(context, update, seed);
      return encryptor.key.slice(0, 64).join();
    };
    expect(bitsThatMatter(oneTimeKey)).toBe(256);
    const shareSeeds = (bytes: Uint8Array): string => {
      using fresh = new SecretBytes('fresh', bytes.slice());
      const share = { closeHash: hashOf('close'), bucket: 0, node: utf8('node') };
      using seeds = deriveSeeds(p, fresh, hashOf('update'), share, subsets(3, 2));
      expect([...seeds.ofSets, seeds.ofRecipients].map((seed) => seed.bytes.length)).toEqual([32, 32, 32, 32]);
      return toHex(seeds.ofSets[0]!.bytes);
    };
    expect(bitsThatMatter(shareSeeds)).toBe(256);
    const roundKey = (bytes: Uint8Array): string =>
      toHex(xwingKeyPair(p, new SecretBytes('round key', bytes.slice())).publicKey);
    expect(bitsThatMatter(roundKey)).toBe(256);
    expect(bitsThatMatter((bytes) => toHex(p.x25519PublicKey(bytes)))).toBe(256 - 5); // RFC 7748, section 5
    // Control: a derivation that looks at half of its secret is noticed.
    expect(bitsThatMatter((bytes) => toHex(p.sha256(bytes.subarray(0, 16))))).toBe(128);
  });

  it('a seed of another length is refused', () => {
    const short = new SecretBytes('seed', new Uint8Array(2));
    expect(() => createEncryptor(context, values(), short)).toThrow(expect.objectContaining({ code: 'BAD_LENGTH' }));
    const share = { closeHash: hashOf('close'), bucket: 0, node: utf8('node') };
    expect(() => deriveSeeds(p, short, hashOf('update'), share, subsets(3, 2))).toThrow(
      expect.objectContaining({ code: 'BAD_LENGTH' }),
    );
  });
  const values = () => valuesOf('secret update', 900, 16);
});
