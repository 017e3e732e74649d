import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { isMaskKey, type MaskContext, type MaskPeer, pairwiseMask } from '../../crypto/masks.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { noblePrimitives } from '../../crypto/primitives-noble.ts';
import { addResidues, reduceResidues } from '../../crypto/residues.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';

const BITS = 11;
const LENGTH = 64;

interface Member extends MaskPeer {
  readonly secret: SecretBytes;
}

const nodes: Member[] = Array.from({ length: 8 }, (_, i) => {
  const secret = new SecretBytes('one-time key', p.sha256(utf8(`secret ${i}`)));
  return { secret, identity: utf8(`node ${i}`), publicKey: p.x25519PublicKey(secret.bytes) };
});
const contextOf = (name: string): MaskContext => ({
  closeHash: p.sha256(utf8(name)),
  bucket: 0,
  modelHash: p.sha256(utf8('model')),
});
const maskOf = (node: Member, cohort: readonly MaskPeer[], context: MaskContext, primitives: Primitives = p) =>
  pairwiseMask(primitives, node.secret, node.identity, context, cohort, BITS, LENGTH);

function total(masks: readonly Uint16Array[]): Uint16Array {
  const sum = new Uint16Array(LENGTH);
  for (const mask of masks) addResidues(sum, mask);
  return reduceResidues(sum, BITS);
}
const zeros = new Uint16Array(LENGTH);
const survivors = fc.shuffledSubarray(nodes, { minLength: 2, maxLength: 8 });

describe('pairwise masks', () => {
  it('cancel over any set of survivors, in any order of it, and over no part of it', () => {
    fc.assert(
      fc.property(survivors, fc.string(), (cohort, name) => {
        const masks = cohort.map((node) => maskOf(node, [...cohort].reverse(), contextOf(name)));
        expect(total(masks)).toEqual(zeros);
        for (const [i] of masks.entries()) expect(total(masks.filter((_, j) => j !== i))).not.toEqual(zeros);
        expect(maskOf(cohort[0]!, cohort, contextOf(name))).toEqual(masks[0]);
      }),
      { numRuns: 30 },
    );
  });

  it('do not cancel when one node was shown another set, close leaf, bucket or model', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(nodes, { minLength: 3, maxLength: 6 }), (cohort) => {
        const [victim, ...others] = cohort;
        const rest = others.map((node) => maskOf(node, cohort, contextOf('close')));
        const shown: [readonly MaskPeer[], MaskContext][] = [
          [cohort.slice(0, -1), contextOf('close')],
          [cohort, contextOf('another close')],
          [cohort, { ...contextOf('close'), bucket: 1 }],
          [cohort, { ...contextOf('close'), modelHash: p.sha256(utf8('another model')) }],
        ];
        for (const [set, context] of shown) {
          expect(total([...rest, maskOf(victim!, set, context)])).not.toEqual(zeros);
        }
        expect(total([...rest, maskOf(victim!, cohort, contextOf('close'))])).toEqual(zeros);
      }),
      { numRuns: 20 },
    );
  });

  it('are fresh for every attempt: two attempts share no pairwise seed', () => {
    const first = maskOf(nodes[0]!, nodes.slice(0, 2), contextOf('attempt 1'));
    const second = maskOf(nodes[0]!, nodes.slice(0, 2), contextOf('attempt 2'));
    const equal = first.filter((value, c) => value === second[c]).length;
    expect(equal).toBeLessThan(8); // 64 coefficients modulo 2048; fixed seeds.
  });

  it('are the same words from both implementations', () => {
    const cohort = nodes.slice(0, 3);
    for (const node of cohort) {
      expect(maskOf(node, cohort, contextOf('x'), noblePrimitives)).toEqual(maskOf(node, cohort, contextOf('x')));
    }
  });
});

describe('refusals', () => {
  const code = (call: () => unknown): string => {
    try {
      call();
      return 'none';
    } catch (error) {
      if (error instanceof CryptoError) return error.code;
      throw error;
    }
  };
  const [a, b, c] = nodes as [Member, Member, Member];

  it('a cohort without this node, with a node twice, alone, or too large', () => {
    expect(code(() => maskOf(a, [b, c], contextOf('x')))).toBe('BAD_VALUE');
    expect(code(() => maskOf(a, [a, b, b], contextOf('x')))).toBe('BAD_VALUE');
    expect(code(() => maskOf(a, [a, { ...c, identity: a.identity }], contextOf('x')))).toBe('BAD_VALUE');
    expect(code(() => maskOf(a, [a], contextOf('x')))).toBe('BAD_VALUE');
    const many = Array.from({ length: 1025 }, (_, i) => ({ ...b, identity: utf8(`many ${i}`) }));
    expect(code(() => maskOf(a, many, contextOf('x')))).toBe('BAD_VALUE');
  });

  it('a cohort that names another key for this node: unchecked, the masks would not cancel', () => {
    const forged = [{ ...a, publicKey: c.publicKey }, b];
    expect(code(() => maskOf(a, forged, contextOf('x')))).toBe('BAD_KEY');
    const blind: Primitives = { ...p, x25519PublicKey: () => c.publicKey };
    const masks = [maskOf(a, forged, contextOf('x'), blind), maskOf(b, forged, contextOf('x'))];
    expect(total(masks)).not.toEqual(zeros);
  });

  it('a small-order key: unchecked, everybody would know the pairwise seed', () => {
    const zeroKey = { ...b, publicKey: new Uint8Array(32) };
    expect(code(() => maskOf(a, [a, zeroKey], contextOf('x')))).toBe('BAD_KEY');
    expect(isMaskKey(zeroKey.publicKey)).toBe(false);
    expect(isMaskKey(new Uint8Array(31))).toBe(false);
    expect(isMaskKey(b.publicKey)).toBe(true);
    // Control: primitives that let the all-zero secret through give two victims one and the same mask.
    const careless: Primitives = { ...p, x25519Agree: () => new Uint8Array(32) };
    const mask = maskOf(a, [a, zeroKey], contextOf('x'), careless);
    const other = pairwiseMask(
      { ...careless, x25519PublicKey: () => a.publicKey },
      c.secret,
      a.identity,
      contextOf('x'),
      [a, zeroKey],
      BITS,
      LENGTH,
    );
    expect(other).toEqual(mask);
  });
});
