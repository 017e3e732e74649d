import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { SecretBytes } from '../../crypto/secret.ts';
import { LyingRounds } from '../e2e/lying-rounds.ts';

/** Who lies, and how. Empty: everybody is honest, and every replaced function is the shipped one. */
const lies = vi.hoisted(() => ({
  /** A member whose K_T of one set is off by one in one coefficient: of the last set, that a member before it does not hold. */
  share: '',
  isAnswering: false,
  summed: 0,
  /** The control: an opening that takes whatever lies beyond its bounds. */
  unchecked: false,
  /** A member that complains about every box. */
  complains: '',
  /** A node that seals other seeds than it commits to, to members of these indices. */
  seals: '',
  to: [] as number[],
}));

vi.mock('../../protocols/member.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/member.ts')>();
  const makeAnswer: typeof original.makeAnswer = (...args) => {
    const [, , , , decision, member] = args;
    lies.isAnswering = member === lies.share;
    lies.summed = 0;
    // With t good answers a sum is opened, and a lie that comes after them is nobody's concern: so it comes first.
    if (lies.share !== '' && !lies.isAnswering && !decision.answers.has(lies.share)) throw new Error('not yet');
    try {
      return original.makeAnswer(...args);
    } finally {
      lies.isAnswering = false;
    }
  };
  return { ...original, makeAnswer };
});
vi.mock('../../protocols/boxes.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/boxes.ts')>();
  const checkBox: typeof original.checkBox = (...args) =>
    args[5] === lies.complains ? { confirm: args[4].hash, code: 'BOX_UNREADABLE' } : original.checkBox(...args);
  return { ...original, checkBox };
});
vi.mock('../../crypto/sharing.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/sharing.ts')>();
  const shareSum: typeof original.shareSum = (p, seeds, modulusBits, length) => {
    const sum = original.shareSum(p, seeds, modulusBits, length);
    if (lies.isAnswering && ++lies.summed === 2) sum[5] = (sum[5]! + 1) % 2 ** modulusBits;
    return sum;
  };
  return { ...original, shareSum };
});
vi.mock('../../crypto/payload.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/payload.ts')>();
  const createOpener: typeof original.createOpener = (context, key) => {
    const opener = original.createOpener(context, key);
    const block: typeof opener.block = (index, wire) => {
      try {
        return opener.block(index, wire);
      } catch (error) {
        if (!lies.unchecked) throw error;
        return new Int32Array(context.parameters.dimension); // one block holds them all
      }
    };
    return { block, [Symbol.dispose]: () => opener[Symbol.dispose]() };
  };
  return { ...original, createOpener };
});
vi.mock('../../crypto/share-box.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/share-box.ts')>();
  const sealSeeds: typeof original.sealSeeds = (p, rng, context, holder, publicKey, seeds) => {
    const isLie =
      new TextDecoder().decode(context.node) === lies.seals &&
      holder.role === 'member' &&
      lies.to.includes(holder.index);
    const sent = isLie ? seeds.map(() => new SecretBytes('another seed', rng(32))) : seeds;
    return original.sealSeeds(p, rng, context, holder, publicKey, sent);
  };
  return { ...original, sealSeeds };
});

const rounds = new LyingRounds(lies);
beforeAll(() => rounds.start(), 60_000);
afterAll(() => rounds[Symbol.asyncDispose](), 60_000);

describe('P8: a bad share is named and the round still ends well', () => {
  it('of a member whose share is off by one, and the round completes from the others', async () => {
    const { id, end, round } = await rounds.round({ share: 'member-2' });
    expect(end).toBe('released');
    expect(await rounds.lab.result(id)).toEqual(rounds.sumOf());
    expect(round.phase === 'released' && round.liars).toEqual(['member-2']);
  });

  it('control: where an opening takes what is out of range, the liar is believed and something else released', async () => {
    const { id, end } = await rounds.round({ share: 'member-2', unchecked: true });
    expect(end).toBe('released');
    expect(await rounds.lab.result(id)).not.toEqual(rounds.sumOf());
  });

  it('a member that complains about every box is answered once, and then the round goes on without it', async () => {
    const { id, end, round } = await rounds.round({ complains: 'member-1' });
    expect(end).toBe('released');
    expect(await rounds.lab.result(id)).toEqual(rounds.sumOf());
    expect(round.attempts).toHaveLength(1);
    const complaints = [...round.attempts[0]!.complaints.values()].flatMap((by) => [...by]);
    expect(complaints.length).toBeGreaterThan(0);
    expect(complaints.every(([member]) => member === 'member-1')).toBe(true);
    expect(round.attempts[0]!.ready).toEqual(new Set(['member-2', 'member-3']));
  });

  it('a node that seals wrong seeds seals once more and is left out of the next attempt', async () => {
    const { id, end, round } = await rounds.round({ seals: 'us', to: [0, 1] });
    expect(end).toBe('released');
    expect(round.attempts.map((attempt) => attempt.cohort.map((upload) => upload.node).sort())).toEqual([
      ['apac', 'eu', 'us'],
      ['apac', 'eu'],
    ]);
    const [first] = round.attempts;
    const complaints = first!.complaints.get(first!.confirms.get('us')!.hash)!;
    expect([...complaints.keys()].sort()).toEqual(['member-1', 'member-2']);
    for (const complaint of complaints.values()) expect(complaint).toMatchObject({ final: true });
    expect(await rounds.lab.result(id)).toEqual(rounds.sumOf(['eu', 'apac']));
  });

  it('a node that seals wrong seeds to fewer members than matter stays in', async () => {
    const { id, end, round } = await rounds.round({ seals: 'us', to: [2] });
    expect(end).toBe('released');
    expect(round.attempts).toHaveLength(1);
    expect(await rounds.lab.result(id)).toEqual(rounds.sumOf());
  });
});
