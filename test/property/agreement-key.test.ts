import { x25519 } from '@noble/curves/ed25519.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAgreementKey } from '../../crypto/agreement-key.ts';
import { toHex } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { noblePrimitives } from '../../crypto/primitives-noble.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';

const P = 2n ** 255n - 19n;

function littleEndian(value: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((value >> BigInt(8 * i)) & 255n));
}

/** What both libraries say when they try: whether any secret agrees with the key. */
function agrees(key: Uint8Array): boolean {
  const verdicts = [nodePrimitives, noblePrimitives].map((p) => {
    try {
      p.x25519Agree(new Uint8Array(32).fill(7), key);
      return true;
    } catch (error) {
      if (error instanceof CryptoError && error.code === 'BAD_KEY') return false;
      throw error;
    }
  });
  expect(verdicts[0]).toBe(verdicts[1]);
  return verdicts[0]!;
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n;
  for (let b = base % P, e = exponent; e > 0n; e >>= 1n, b = (b * b) % P) if (e & 1n) result = (result * b) % P;
  return result;
}

function squareRoot(value: bigint): bigint | null {
  const v = ((value % P) + P) % P;
  const candidate = power(v, (P + 3n) / 8n);
  for (const root of [candidate, (candidate * power(2n, (P - 1n) / 4n)) % P]) if ((root * root) % P === v) return root;
  return null;
}

/** u-coordinates of order 8 on y^2 = u^3 + 486662 u^2 + u: those whose double has u = 1, (u^2-1)^2 = 4u(u^2+Au+1). */
function orderEight(): bigint[] {
  // As a quartic: u^4 - 4u^3 - (4A+2)u^2 - 4u + 1 = 0; with s = u + 1/u: s^2 - 4s - (4A + 4) = 0.
  const root = squareRoot(4n + 4n * 486_662n + 4n)!;
  return [2n + root, 2n - root].flatMap((s) => {
    const half = squareRoot(s * s - 4n);
    const inverse = (P + 1n) / 2n;
    return half === null ? [] : [s + half, s - half].map((u) => (((u * inverse) % P) + P) % P);
  });
}

describe('keys that nobody agrees with', () => {
  it('are those of small order, and all of them are in the table', () => {
    const eight = orderEight();
    expect(eight).toHaveLength(2);
    for (const u of [0n, 1n, P - 1n, ...eight]) {
      expect(agrees(littleEndian(u))).toBe(false);
      expect(isAgreementKey(littleEndian(u))).toBe(false);
    }
    // Near them, all is well.
    for (const u of [2n, 3n, P - 2n, ...eight.map((u) => u + 1n)]) {
      expect(isAgreementKey(littleEndian(u))).toBe(agrees(littleEndian(u)));
      expect(isAgreementKey(littleEndian(u))).toBe(true);
    }
  });

  it('have one spelling: neither a reduced nor a masked one passes', () => {
    for (const u of [P, P + 1n, P + 9n, 2n ** 255n - 1n, 9n + 2n ** 255n]) {
      expect(isAgreementKey(littleEndian(u))).toBe(false);
    }
    for (const length of [0, 31, 33]) expect(isAgreementKey(new Uint8Array(length).fill(9))).toBe(false);
    expect(isAgreementKey(littleEndian(9n))).toBe(true); // control: the base point
  });

  it('are no others: any canonical key agrees exactly when it passes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        key[31]! &= 0x3f;
        expect([toHex(key), isAgreementKey(key)]).toEqual([toHex(key), agrees(key)]);
      }),
      { numRuns: 100 },
    );
    expect(isAgreementKey(x25519.keygen().publicKey)).toBe(true);
  });
});
