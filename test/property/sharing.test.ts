import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { toHex, utf8 } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import type { Rng } from '../../crypto/primitives.ts';
import { noblePrimitives } from '../../crypto/primitives-noble.ts';
import { addResidues, applyExpanded, reduceResidues } from '../../crypto/residues.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { type Holder, openAnswer, openSeeds, sealAnswer, sealSeeds, shareSumHash } from '../../crypto/share-box.ts';
import { candidates, disputes, liars } from '../../crypto/share-claims.ts';
import {
  correction,
  deriveSeeds,
  heldBy,
  recoverKey,
  type ShareContext,
  seedCommitment,
  shareSum,
  subsets,
} from '../../crypto/sharing.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';

const SHAPES = [
  [2, 3],
  [3, 5],
  [4, 7],
  [5, 9],
] as const;
const BITS = 11;
const M = 2 ** BITS;

/** Reproducible secret bytes: every failure can be replayed. */
function seededRng(name: string): Rng {
  const key = p.sha256(utf8(name));
  let drawn = 0;
  return (length) => p.hkdfSha256(key, new Uint8Array(0), utf8(`draw ${drawn++}`), length);
}

/** Values of a one-time key's size, not its distribution. */
function smallKey(rng: Rng, length: number): Int16Array {
  const words = new Uint16Array(rng(32).buffer);
  return Int16Array.from({ length }, (_, i) => ((words[i % 16]! >> (i % 5)) % 61) - 30);
}

function choose(from: number[], count: number): number[][] {
  if (count === 0) return [[]];
  return from.flatMap((first, i) => choose(from.slice(i + 1), count - 1).map((rest) => [first, ...rest]));
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** One whole sharing, boxes included, without masks: what each party holds at the end. */
function share(threshold: number, members: number, nodes: number, length: number, name: string) {
  const rng = seededRng(name);
  const sets = subsets(members, threshold);
  const holders: Holder[] = [...range(members).map((index) => ({ role: 'member' as const, index }))];
  holders.push({ role: 'recipient', index: 0 });
  const keys = holders.map(() => new SecretBytes('round key', rng(32)));
  const corrections = new Uint16Array(length);
  const expected = new Int32Array(length);
  const held = holders.map(() => [] as (readonly SecretBytes[])[]);
  for (const i of range(nodes)) {
    const context: ShareContext = { closeHash: p.sha256(utf8('close')), bucket: 0, node: utf8(`node ${i}`) };
    const key = smallKey(rng, length);
    key.forEach((value, c) => {
      expected[c]! += value;
    });
    using fresh = new SecretBytes('fresh', rng(32));
    using seeds = deriveSeeds(p, fresh, p.sha256(utf8(`update ${i}`)), context, sets);
    addResidues(corrections, correction(p, key, new Uint16Array(length), seeds, BITS));
    for (const [h, holder] of holders.entries()) {
      const own = holder.role === 'member' ? heldBy(sets, holder.index) : [];
      const sealed = holder.role === 'member' ? own.map((t) => seeds.ofSets[t]!) : [seeds.ofRecipients];
      const entries = holder.role === 'member' ? own.map((t) => sets[t]!) : [[]];
      const box = sealSeeds(p, rng, context, holder, xwingKeyPair(p, keys[h]!).publicKey, sealed);
      const leaf = entries.map((set, e) => ({ set, commitment: seedCommitment(p, context, set, sealed[e]!) }));
      const opened = openSeeds(p, keys[h]!, context, holder, leaf, box);
      if ('rejected' in opened) throw new Error(opened.rejected);
      held[h]!.push(opened.seeds);
    }
  }
  const recipientSum = shareSum(
    p,
    held[members]!.map((seeds) => seeds[0]!),
    BITS,
    length,
  );
  /** member -> set -> K_T. */
  const sums = range(members).map(
    (m) =>
      new Map(
        heldBy(sets, m).map((t, e) => [
          t,
          shareSum(
            p,
            held[m]!.map((seeds) => seeds[e]!),
            BITS,
            length,
          ),
        ]),
      ),
  );
  return { sets, keys, corrections, expected, recipientSum, sums, rng };
}

function sumsOf(setCount: number, sums: readonly ReadonlyMap<number, Uint16Array>[], members: readonly number[]) {
  return range(setCount).flatMap((t) => {
    const holder = members.find((m) => sums[m]!.has(t));
    return holder === undefined ? [] : [sums[holder]!.get(t)!];
  });
}

/** Pearson's statistic over 64 equal cells of [0, M): 63 degrees of freedom, mean 63, deviation 11.2. */
function chiSquare(values: Iterable<number>): number {
  const cells = new Float64Array(64);
  let count = 0;
  for (const value of values) {
    cells[Math.floor((((value % M) + M) % M) / (M / 64))]! += 1;
    count++;
  }
  return cells.reduce((sum, seen) => sum + (seen - count / 64) ** 2 / (count / 64), 0);
}

describe('sets', () => {
  it.each(SHAPES)('%i of %i: any t hold all, any t - 1 miss exactly one', (t, n) => {
    const sets = subsets(n, t);
    expect(sets.length).toBe({ 3: 3, 5: 10, 7: 35, 9: 126 }[n]);
    expect([...sets].sort((a, b) => (a.join() < b.join() ? -1 : 1))).toEqual(sets);
    for (const held of choose(range(n), t)) expect(sets.every((set) => set.some((m) => held.includes(m)))).toBe(true);
    for (const held of choose(range(n), t - 1)) {
      expect(sets.filter((set) => !set.some((m) => held.includes(m))).length).toBe(1);
    }
    expect(heldBy(sets, 0).length).toBe({ 3: 2, 5: 6, 7: 20, 9: 70 }[n]);
  });

  it.each([
    [1, 1],
    [1, 3],
    [2, 2],
    [3, 4],
    [6, 11],
    [2, 300],
    [2.5, 5],
    [Number.NaN, 5],
  ])('refuses %d of %d', (t, n) => {
    expect(() => subsets(n, t)).toThrow(expect.objectContaining({ code: 'UNSAFE_PARAMETERS' }));
  });
});

describe('sharing', () => {
  it.each(SHAPES)('%i of %i: any t members recover the exact sum of keys', (t, n) => {
    const { sets, corrections, expected, recipientSum, sums } = share(t, n, 3, 64, `${t} of ${n}`);
    for (const members of choose(range(n), t)) {
      expect(recoverKey(corrections, sumsOf(sets.length, sums, members), recipientSum, BITS)).toEqual(expected);
    }
  });

  it.each(SHAPES)('%i of %i: to t - 1 members, or without the recipients, residues are uniform', (t, n) => {
    const { sets, corrections, recipientSum, sums } = share(t, n, 2, 4096, `uniform ${t} of ${n}`);
    const zeros = new Uint16Array(4096);
    const limit = 63 + 6 * 11.2; // Six deviations; the seeds are fixed, so this passes always or never.
    for (const members of choose(range(n), t - 1).slice(0, 12)) {
      const parts = sumsOf(sets.length, sums, members);
      expect(parts.length).toBe(sets.length - 1);
      expect(chiSquare(recoverKey(corrections, parts, recipientSum, BITS))).toBeLessThan(limit);
    }
    const all = sumsOf(sets.length, sums, range(n));
    expect(chiSquare(recoverKey(corrections, all, zeros, BITS))).toBeLessThan(limit);
    expect(chiSquare(recoverKey(corrections, [], recipientSum, BITS))).toBeLessThan(limit);
    // Control: with every part the statistic sees at once that this is a short key.
    expect(chiSquare(recoverKey(corrections, all, recipientSum, BITS))).toBeGreaterThan(10_000);
  });

  it('does not depend on the order of nodes, and lifts to (-M/2, M/2]', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -M / 2 + 1, max: M / 2 }), { minLength: 1, maxLength: 50 }), (values) => {
        const residues = Uint16Array.from(values);
        expect([...recoverKey(residues, [], new Uint16Array(values.length), BITS)]).toEqual(values);
      }),
    );
    const seeds = range(5).map((i) => new SecretBytes('seed', p.sha256(utf8(`${i}`))));
    const sum = shareSum(p, seeds, BITS, 100);
    expect(shareSum(p, [...seeds].reverse(), BITS, 100)).toEqual(sum);
    for (const length of [1, 99, 100]) {
      for (const count of [0, 1, 3, 4, 5]) {
        const slow = new Uint16Array(length);
        for (const seed of seeds.slice(0, count)) applyExpanded(noblePrimitives, slow, seed, 1);
        expect(shareSum(p, seeds.slice(0, count), 16, length)).toEqual(slow);
        expect(shareSum(p, seeds.slice(0, count), BITS, length)).toEqual(reduceResidues(slow, BITS));
      }
    }
  });

  it('expands as AES-256 of the zero block under the zero key begins (NIST AESAVS)', () => {
    // dc95c078a2408989ad48a21492842087, as little-endian words of 16 bits, the low 11 bits of each.
    const words = [0x95dc, 0x78c0, 0x40a2, 0x8989, 0x48ad, 0x14a2, 0x8492, 0x8720];
    for (const primitives of [p, noblePrimitives]) {
      using zero = new SecretBytes('zero', new Uint8Array(32));
      expect([...shareSum(primitives, [zero], BITS, 8)]).toEqual(words.map((word) => word & 0x7ff));
    }
  });

  it('binds seeds to fresh bytes, update, close leaf, bucket, node and set', () => {
    const base: ShareContext = { closeHash: new Uint8Array(32), bucket: 0, node: utf8('a') };
    const sets = subsets(3, 2);
    const derive = (fresh: number, update: number, context: ShareContext): string[] => {
      using bytes = new SecretBytes('fresh', new Uint8Array(32).fill(fresh));
      using seeds = deriveSeeds(p, bytes, new Uint8Array(32).fill(update), context, sets);
      return [...seeds.ofSets, seeds.ofRecipients].map((seed) => toHex(seed.bytes));
    };
    const all = [
      derive(0, 0, base),
      derive(1, 0, base),
      derive(0, 1, base),
      derive(0, 0, { ...base, closeHash: new Uint8Array(32).fill(1) }),
      derive(0, 0, { ...base, bucket: 1 }),
      derive(0, 0, { ...base, node: utf8('b') }),
    ].flat();
    expect(new Set(all).size).toBe(24);
    expect(derive(0, 0, base)).toEqual(all.slice(0, 4));
  });
});

describe('boxes', () => {
  afterEach(() => {
    vi.doUnmock('../../crypto/encoding.ts');
    vi.resetModules();
  });

  const rng = seededRng('boxes');
  const context: ShareContext = { closeHash: p.sha256(utf8('close')), bucket: 0, node: utf8('node') };
  const holder: Holder = { role: 'member', index: 1 };
  const sets = subsets(3, 2);
  const key = new SecretBytes('round key', rng(32));
  const { publicKey } = xwingKeyPair(p, key);
  const seeds = range(2).map(() => new SecretBytes('seed', rng(32)));
  const own = heldBy(sets, 1).map((t) => sets[t]!);
  const leaf = own.map((set, i) => ({ set, commitment: seedCommitment(p, context, set, seeds[i]!) }));
  const wrongSeeds = [seeds[0]!, new SecretBytes('wrong', rng(32))];

  it('names the set whose seed is not the committed one; with the check gone the wrong seed goes through', async () => {
    const box = sealSeeds(p, rng, context, holder, publicKey, wrongSeeds);
    expect(openSeeds(p, key, context, holder, leaf, box)).toEqual({ rejected: 'SEED_DIFFERS', sets: [own[1]] });
    vi.resetModules();
    vi.doMock('../../crypto/encoding.ts', async (original) => ({
      ...(await original<object>()),
      bytesEqual: () => true,
    }));
    const weak = await import('../../crypto/share-box.ts');
    const opened = weak.openSeeds(p, key, context, holder, leaf, box);
    expect('seeds' in opened && toHex(opened.seeds[1]!.bytes)).toBe(toHex(wrongSeeds[1]!.bytes));
  });

  it('refuses a box moved to another node, attempt, bucket, member, or role, or sealed to another key', () => {
    const box = sealSeeds(p, rng, context, holder, publicKey, seeds);
    expect('seeds' in openSeeds(p, key, context, holder, leaf, box)).toBe(true);
    const rejected = { rejected: 'BOX_DOES_NOT_OPEN' };
    expect(openSeeds(p, key, { ...context, node: utf8('other') }, holder, leaf, box)).toEqual(rejected);
    expect(openSeeds(p, key, { ...context, closeHash: new Uint8Array(32) }, holder, leaf, box)).toEqual(rejected);
    expect(openSeeds(p, key, { ...context, bucket: 1 }, holder, leaf, box)).toEqual(rejected);
    expect(openSeeds(p, key, context, { role: 'member', index: 2 }, leaf, box)).toEqual(rejected);
    expect(openSeeds(p, key, context, { role: 'recipient', index: 1 }, leaf, box)).toEqual(rejected);
    using other = new SecretBytes('other', rng(32));
    expect(openSeeds(p, other, context, holder, leaf, box)).toEqual(rejected);
    expect(openSeeds(p, key, context, holder, leaf.slice(1), box)).toEqual({ rejected: 'BOX_OF_WRONG_LENGTH' });
    const long = new Uint8Array([...box, 0]);
    expect(openSeeds(p, key, context, holder, leaf, long)).toEqual({ rejected: 'BOX_OF_WRONG_LENGTH' });
  });

  it('carries an answer, bound to decision, member and recipient, and refuses a malformed one', () => {
    const answer = { decideHash: p.sha256(utf8('decide')), bucket: 0, member: 1, recipient: 0 };
    const sums = new Map([0, 2].map((t) => [t, shareSum(p, [seeds[t / 2]!], BITS, 100)]));
    const sealed = sealAnswer(p, rng, answer, publicKey, new Map([...sums].reverse()), BITS);
    expect(openAnswer(p, key, answer, sealed, BITS, 100)).toEqual({ sums });
    for (const change of [{ decideHash: new Uint8Array(32) }, { bucket: 1 }, { member: 0 }, { recipient: 1 }]) {
      const opened = openAnswer(p, key, { ...answer, ...change }, sealed, BITS, 100);
      expect(opened).toEqual({ rejected: 'ANSWER_DOES_NOT_OPEN' });
    }
    expect(openAnswer(p, key, answer, sealed, BITS, 101)).toEqual({ rejected: 'ANSWER_MALFORMED' });
    expect(openAnswer(p, key, answer, sealed, BITS, 99)).toEqual({ rejected: 'ANSWER_MALFORMED' });
    expect(openAnswer(p, key, answer, sealed, 12, 100)).toEqual({ rejected: 'ANSWER_MALFORMED' });
    const none = sealAnswer(p, rng, answer, publicKey, new Map(), BITS);
    expect(openAnswer(p, key, answer, none, BITS, 100)).toEqual({ sums: new Map() });
  });

  it('throws, rather than blames the peer, when our own round key is gone', () => {
    const box = sealSeeds(p, rng, context, holder, publicKey, seeds);
    const gone = new SecretBytes('gone', new Uint8Array(32));
    gone.wipe();
    expect(() => openSeeds(p, gone, context, holder, leaf, box)).toThrow(CryptoError);
  });
});

describe('claims', () => {
  const { sets, sums, corrections, expected, recipientSum } = share(3, 5, 2, 256, 'claims');
  const decideHash = p.sha256(utf8('decide'));
  const hash = (t: number, sum: Uint16Array) => toHex(shareSumHash(p, decideHash, 0, sets[t]!, sum, BITS));

  /** What everybody logs when `lying` members add one to a coefficient of each of their sums. */
  function claimed(lying: readonly number[], colluding: boolean) {
    const byHash = new Map<string, Uint16Array>();
    const claims = new Map(
      sums.map((own, m) => {
        const entries = [...own].map(([t, sum]): [number, string] => {
          const told = sum.slice();
          if (lying.includes(m)) told[0] = (told[0]! + 1 + (colluding ? 0 : m)) % M;
          byHash.set(hash(t, told), told);
          return [t, hash(t, told)];
        });
        return [m, new Map(entries)];
      }),
    );
    return { claims, byHash };
  }

  it('without a liar there is one candidate and no dispute', () => {
    const { claims } = claimed([], false);
    expect(disputes(sets, claims)).toEqual([]);
    expect([...candidates(sets, 3, claims)].length).toBe(1);
  });

  it('a liar is seen as soon as two holders differ, the candidate that opens is right and names the liars', () => {
    fc.assert(
      fc.property(fc.subarray(range(5), { minLength: 1, maxLength: 2 }), fc.boolean(), (lying, colluding) => {
        const { claims, byHash } = claimed(lying, colluding);
        for (const dispute of disputes(sets, claims)) {
          expect(lying.some((m) => sets[dispute.set]!.includes(m))).toBe(true);
        }
        expect(disputes(sets, claims).length).toBeGreaterThan(0);
        const opening = [...candidates(sets, 3, claims)].filter(({ hashes }) => {
          const key = recoverKey(
            corrections,
            hashes.map((h) => byHash.get(h)!),
            recipientSum,
            BITS,
          );
          return key.every((value, c) => value === expected[c]);
        });
        expect(opening.length).toBe(1);
        expect(liars(sets, claims, opening[0]!)).toEqual(lying);
      }),
    );
  });

  it('needs t members that claimed', () => {
    const { claims } = claimed([], false);
    const two = new Map([...claims].slice(0, 2));
    expect([...candidates(sets, 3, two)]).toEqual([]);
  });
});
