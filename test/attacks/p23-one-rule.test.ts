import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { ed25519 } from '@noble/curves/ed25519.js';
import { describe, expect, it, test } from 'vitest';
import { concat, fromHex, toHex } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { noblePrimitives } from '../../crypto/primitives-noble.ts';
import { isPrimeOrderKey } from '../../src/platform/ed25519-key.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';

const BOTH: readonly [string, Primitives][] = [
  ['noble', noblePrimitives],
  ['node', nodePrimitives],
];

interface Vector {
  readonly tcId: number;
  readonly result: 'valid' | 'invalid' | 'acceptable';
  readonly flags: readonly string[];
  readonly [field: string]: unknown;
}
interface Group {
  readonly tests: readonly Vector[];
  readonly tagSize?: number;
  readonly publicKey?: { readonly pk: string };
}

const folder = process.env['VEILSUM_VECTORS'];

/** Wycheproof's file, or null where the vectors are not on this machine. */
function load(name: string): readonly Group[] | null {
  const path = `${folder}/crypto/${name}_test.json.gz`;
  if (folder === undefined || !existsSync(path)) return null;
  return (JSON.parse(gunzipSync(readFileSync(path)).toString()) as { testGroups: Group[] }).testGroups;
}

/** One test per file; `check` returns what the implementation says, in hex or as a verdict, compared with `wanted`. */
function wycheproof(
  file: string,
  count: number,
  wanted: (vector: Vector, group: Group) => unknown,
  got: (p: Primitives, vector: Vector, group: Group) => unknown,
): void {
  const groups = load(file);
  if (groups === null) console.log(`skipped: ${count} vectors of ${file} (VEILSUM_VECTORS is not set)`);
  test.skipIf(groups === null).each(BOTH)(`${file}, %s`, (_, p) => {
    let seen = 0;
    for (const group of groups ?? []) {
      for (const vector of group.tests) {
        expect(got(p, vector, group), `tcId ${vector.tcId}`).toEqual(wanted(vector, group));
        seen++;
      }
    }
    expect(seen).toBe(count);
  });
}

const hex = (vector: Vector, field: string): Uint8Array => fromHex(vector[field] as string);

/** The call's result in hex, or the code it throws. */
function outcome(call: () => Uint8Array): string {
  try {
    return toHex(call());
  } catch (error) {
    if (error instanceof CryptoError) return error.code;
    throw error;
  }
}

describe('Wycheproof', () => {
  wycheproof(
    'x25519',
    518,
    (v) => (v.flags.includes('ZeroSharedSecret') ? 'BAD_KEY' : v['shared']),
    (p, v) => outcome(() => p.x25519Agree(hex(v, 'private'), hex(v, 'public'))),
  );
  wycheproof(
    'ed25519',
    151,
    (v) => v.result === 'valid',
    (p, v, group) => p.ed25519Verify(fromHex(group.publicKey!.pk), hex(v, 'msg'), hex(v, 'sig')),
  );
  wycheproof(
    'hkdf_sha256',
    86,
    (v) => (v.result === 'valid' ? v['okm'] : 'BAD_LENGTH'),
    (p, v) => outcome(() => p.hkdfSha256(hex(v, 'ikm'), hex(v, 'salt'), hex(v, 'info'), v['size'] as number)),
  );
  wycheproof(
    'hmac_sha256',
    174,
    (v) => v.result === 'valid',
    (p, v, group) =>
      toHex(p.hmacSha256(hex(v, 'key'), hex(v, 'msg')).subarray(0, group.tagSize! / 8)) === (v['tag'] as string),
  );
});

/** All eight points of small order, canonical encodings, by adding up one of order eight. */
function torsion(): InstanceType<typeof ed25519.Point>[] {
  const eight = ed25519.Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05');
  const points = [ed25519.Point.ZERO];
  for (let i = 1; i < 8; i++) points.push(points[i - 1]!.add(eight));
  expect(points[7]!.add(eight).is0()).toBe(true);
  return points;
}

/** Every encoding that some decoder takes for a small-order point, canonical or not. */
function smallOrderEncodings(): Uint8Array[] {
  const encodings = torsion().map((point) => point.toBytes());
  const p = 2n ** 255n - 19n;
  // y = p, p+1 (0 and 1 not reduced), p-1, 0, 1 with either sign bit: x = 0 with the sign set among them.
  for (const y of [0n, 1n, p - 1n, p, p + 1n]) {
    for (const sign of [0n, 1n]) {
      const value = y + (sign << 255n);
      encodings.push(fromHex(value.toString(16).padStart(64, '0')).reverse());
    }
  }
  return encodings;
}

describe('P23: one Ed25519 rule', () => {
  const order = ed25519.Point.Fn.ORDER;
  const littleEndian = (value: bigint): Uint8Array => fromHex(value.toString(16).padStart(64, '0')).reverse();
  const challenge = (r: Uint8Array, a: Uint8Array, message: Uint8Array): bigint =>
    BigInt(`0x${toHex(new Uint8Array(createHash('sha512').update(r).update(a).update(message).digest()).reverse())}`) %
    order;

  it('refuses every small-order key with every small-order R, where the two libraries differ', () => {
    const encodings = smallOrderEncodings();
    let accepted = 0;
    let cofactored = 0;
    for (const a of encodings) {
      for (const r of encodings) {
        for (let m = 0; m < 4; m++) {
          const message = new Uint8Array([m]);
          const signature = concat(r, new Uint8Array(32)); // S = 0
          for (const [, p] of BOTH) if (p.ed25519Verify(a, message, signature)) accepted++;
          try {
            if (ed25519.verify(signature, message, a, { zip215: true })) cofactored++;
          } catch {
            // Not decodable: a refusal as well.
          }
        }
      }
    }
    expect(accepted).toBe(0);
    // Control: under the cofactored rule of ZIP 215 the same forgeries, which sign nothing, are accepted.
    expect(cofactored).toBeGreaterThan(500);
  });

  it('refuses a key with a torsion component, even for a signature that fits by the cofactorless equation', () => {
    const secret = 123_456_789n;
    for (const [i, component] of torsion().entries()) {
      const key = ed25519.Point.BASE.multiply(secret).add(component);
      const a = key.toBytes();
      expect(isPrimeOrderKey(a)).toBe(i === 0);
      // Search a message whose challenge kills the torsion: then S*B - h*A = R holds as it stands.
      const r = ed25519.Point.BASE.multiply(987_654_321n).toBytes();
      let m = 0;
      while (challenge(r, a, new Uint8Array([m])) % 8n !== 0n) m++;
      const message = new Uint8Array([m]);
      const s = (987_654_321n + challenge(r, a, message) * secret) % order;
      for (const [, p] of BOTH) expect(p.ed25519Verify(a, message, concat(r, littleEndian(s)))).toBe(i === 0);
    }
  });

  it('refuses R with a torsion component, S not reduced, and other lengths', () => {
    const seed = new Uint8Array(32).fill(7);
    const message = new Uint8Array([1, 2, 3]);
    for (const [, p] of BOTH) {
      const key = p.ed25519PublicKey(seed);
      const good = p.ed25519Sign(seed, message);
      expect(p.ed25519Verify(key, message, good)).toBe(true);
      const s = BigInt(`0x${toHex(good.slice(32).reverse())}`);
      const high = concat(good.subarray(0, 32), littleEndian(s + order));
      const mixed = ed25519.Point.fromBytes(good.subarray(0, 32)).add(torsion()[1]!).toBytes();
      const bad = [high, concat(mixed, good.subarray(32)), good.subarray(1), concat(good, new Uint8Array(1))];
      for (const signature of bad) expect(p.ed25519Verify(key, message, signature)).toBe(false);
      expect(p.ed25519Verify(key.subarray(1), message, good)).toBe(false);
    }
  });

  it('checks subgroup membership as a multiplication by L does', () => {
    const components = torsion();
    for (let i = 0; i < 40; i++) {
      const random = new Uint8Array(createHash('sha256').update(`point ${i}`).digest());
      let expected = false;
      try {
        const point = ed25519.Point.fromBytes(random, false);
        expected = point.isTorsionFree() && !point.is0();
      } catch {
        // On the twist: about half of them.
      }
      expect(isPrimeOrderKey(random)).toBe(expected);
      const clean = ed25519.Point.BASE.multiply(BigInt(i + 2));
      expect(isPrimeOrderKey(clean.toBytes())).toBe(true);
      expect(isPrimeOrderKey(clean.add(components[1 + (i % 7)]!).toBytes())).toBe(false);
    }
    for (const encoding of smallOrderEncodings()) expect(isPrimeOrderKey(encoding)).toBe(false);
  });
});

describe('both implementations agree', () => {
  const bytes = (length: number, start: number): Uint8Array =>
    Uint8Array.from({ length }, (_, i) => (start + i * 7) & 255);

  it('on hashes, streams and deterministic keys', () => {
    const results = BOTH.map(([, p]) =>
      [
        p.sha256(),
        p.sha256(bytes(3, 1)),
        p.sha256(bytes(3, 1), bytes(0, 0), bytes(100, 2)),
        p.sha3_256(bytes(200, 1)),
        p.shake256(bytes(32, 1), 96),
        p.aes256Ctr(bytes(32, 1), 0),
        p.aes256Ctr(bytes(32, 1), 33),
        p.aes256Ctr(bytes(32, 1), 200_001),
        p.ed25519PublicKey(bytes(32, 9)),
        p.ed25519Sign(bytes(32, 9), bytes(50, 9)),
        p.x25519PublicKey(bytes(32, 9)),
        p.mlKem768PublicKey(bytes(64, 9)),
        p.hkdfSha256(bytes(32, 1), bytes(0, 0), bytes(0, 0), 8160),
      ].map(toHex),
    );
    expect(results[0]).toEqual(results[1]);
    // FIPS 180-4 and FIPS 202 of nothing and "abc": the pair is not wrong in the same way.
    expect(toHex(nodePrimitives.sha256())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    expect(toHex(noblePrimitives.sha3_256(new TextEncoder().encode('abc')))).toBe(
      '3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532',
    );
  });

  it('on AES-256-GCM and ML-KEM-768, each opening what the other made', () => {
    for (const [, maker] of BOTH) {
      for (const [, opener] of BOTH) {
        for (const length of [0, 1, 100]) {
          const sealed = maker.aes256GcmSeal(bytes(32, 1), bytes(12, 2), bytes(length, 3), bytes(length, 4));
          expect(opener.aes256GcmOpen(bytes(32, 1), bytes(12, 2), bytes(length, 3), sealed)).toEqual(bytes(length, 4));
          sealed[length]! ^= 1;
          const open = () => opener.aes256GcmOpen(bytes(32, 1), bytes(12, 2), bytes(length, 3), sealed);
          expect(outcome(open)).toBe('BAD_CIPHERTEXT');
        }
        const made = maker.mlKem768Encapsulate(opener.mlKem768PublicKey(bytes(64, 5)));
        expect(opener.mlKem768Decapsulate(bytes(64, 5), made.ciphertext)).toEqual(made.sharedSecret);
        // Implicit rejection (FIPS 203): a changed ciphertext gives another secret, the same one everywhere.
        made.ciphertext[0]! ^= 1;
        const rejected = BOTH.map(([, p]) => toHex(p.mlKem768Decapsulate(bytes(64, 5), made.ciphertext)));
        expect(rejected[0]).toBe(rejected[1]);
        expect(rejected[0]).not.toBe(toHex(made.sharedSecret));
      }
    }
  });

  it('on keys in a buffer that is used again, for another key or another algorithm', () => {
    const buffer = bytes(32, 1);
    const answers = () =>
      BOTH.map(([, p]) =>
        [p.x25519PublicKey(buffer), p.ed25519PublicKey(buffer), p.x25519PublicKey(buffer)].map(toHex),
      );
    const first = answers();
    expect(first[0]).toEqual(first[1]);
    buffer.set(bytes(32, 2));
    const second = answers();
    expect(second[0]).toEqual(second[1]);
    expect(second[1]![0]).not.toBe(first[1]![0]);
  });

  it('on the codes for malformed input', () => {
    const short = bytes(31, 1);
    const codes = BOTH.map(([, p]) =>
      [
        () => p.aes256Ctr(short, 16),
        () => p.aes256GcmSeal(short, bytes(12, 1), short, short),
        () => p.aes256GcmSeal(bytes(32, 1), bytes(11, 1), short, short),
        () => p.aes256GcmOpen(bytes(32, 1), bytes(12, 1), short, bytes(15, 1)),
        () => p.ed25519PublicKey(short),
        () => p.ed25519Sign(short, short),
        () => p.x25519PublicKey(short),
        () => p.x25519Agree(short, bytes(32, 1)),
        () => p.x25519Agree(bytes(32, 1), short),
        () => p.x25519Agree(bytes(32, 1), new Uint8Array(32)),
        () => p.mlKem768PublicKey(short),
        () => p.mlKem768Encapsulate(short).ciphertext,
        () => p.mlKem768Encapsulate(new Uint8Array(1184).fill(255)).ciphertext, // coefficients >= q
        () => p.mlKem768Decapsulate(short, bytes(1088, 1)),
        () => p.mlKem768Decapsulate(bytes(64, 1), bytes(1087, 1)),
        () => p.hkdfSha256(short, short, short, 0),
        () => p.hkdfSha256(short, short, short, 8161),
      ].map(outcome),
    );
    expect(codes[0]).toEqual(codes[1]);
    expect(codes[0]!.every((code) => code.startsWith('BAD_'))).toBe(true);
  });
});
