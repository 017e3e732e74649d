import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Primitives } from '../../crypto/primitives.ts';
import { rememberVerdicts } from '../../src/log/remembered-verdicts.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';

const seed = new Uint8Array(32).fill(7);
const key = nodePrimitives.ed25519PublicKey(seed);

/** Counts what is really verified. */
function counting(): { p: Primitives; calls: () => number } {
  let calls = 0;
  const ed25519Verify: Primitives['ed25519Verify'] = (...input) => {
    calls++;
    return nodePrimitives.ed25519Verify(...input);
  };
  return { p: rememberVerdicts({ ...nodePrimitives, ed25519Verify }), calls: () => calls };
}

describe('remembered verdicts', () => {
  it('verifies a genuine signature once, and again when 64 others came between', () => {
    const { p, calls } = counting();
    const message = Uint8Array.of(1, 2, 3);
    const signature = p.ed25519Sign(seed, message);
    for (let i = 0; i < 3; i++) expect(p.ed25519Verify(key, message, signature)).toBe(true);
    expect(calls()).toBe(1);
    for (let i = 0; i < 64; i++) p.ed25519Verify(key, Uint8Array.of(9, i), p.ed25519Sign(seed, Uint8Array.of(9, i)));
    expect(p.ed25519Verify(key, message, signature)).toBe(true);
    expect(calls()).toBe(66);
  });

  it('remembers nothing that did not verify', () => {
    const { p, calls } = counting();
    const forged = new Uint8Array(64);
    expect(p.ed25519Verify(key, Uint8Array.of(1), forged)).toBe(false);
    expect(p.ed25519Verify(key, Uint8Array.of(1), forged)).toBe(false);
    expect(calls()).toBe(2);
  });

  it('refuses whatever differs from it in one bit, also in the buffers that it was given', () => {
    const { p } = counting();
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.nat(), fc.nat(2), (message, at, which) => {
        const parts = [key.slice(), message.slice(), p.ed25519Sign(seed, message)] as const;
        expect(p.ed25519Verify(...parts)).toBe(true);
        const changed = parts[which]!;
        changed[at % changed.length]! ^= 1 << (at % 8);
        expect(p.ed25519Verify(...parts)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it('does not take bytes of one input for bytes of another', () => {
    const { p } = counting();
    const message = new Uint8Array(40).fill(5);
    const signature = p.ed25519Sign(seed, message);
    expect(p.ed25519Verify(key, message, signature)).toBe(true);
    // The same bytes in a row, cut elsewhere.
    const shifted = new Uint8Array([...signature, ...message.subarray(0, 1)]);
    expect(p.ed25519Verify(key, message.subarray(1), shifted)).toBe(false);
  });
});
