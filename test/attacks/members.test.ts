import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { SecretBytes } from '../../crypto/secret.ts';
import type { Round } from '../../protocols/transcript.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';

/** Who lies, and how. Empty: everybody is honest, and every replaced function is the shipped one. */
const lies = vi.hoisted(() => ({
  /** A member whose K_T is off by one in one coefficient. */
  share: '',
  isAnswering: false,
  /** A member that says it is ready and never answers. */
  silent: '',
  /** A member that complains about every box. */
  complains: '',
  /** A node that seals other seeds than it commits to, to members of these indices. */
  seals: '',
  to: [] as number[],
  /** A node whose payload is under another key than it shares. */
  key: '',
  /** A node that masks for another set than was closed. */
  set: '',
  /** A node that masks for another model. */
  model: '',
}));

vi.mock('../../protocols/member.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/member.ts')>();
  const makeAnswer: typeof original.makeAnswer = (...args) => {
    if (args[5] === lies.silent) throw new Error('says nothing');
    lies.isAnswering = args[5] === lies.share;
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
    if (lies.isAnswering) sum[5] = (sum[5]! + 1) % 2 ** modulusBits;
    return sum;
  };
  return { ...original, shareSum };
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
vi.mock('../../crypto/masks.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/masks.ts')>();
  const pairwiseMask: typeof original.pairwiseMask = (p, secret, node, context, cohort, ...rest) => {
    const name = new TextDecoder().decode(node);
    const other = name === lies.model ? { ...context, modelHash: new Uint8Array(32).fill(7) } : context;
    const isOwn = (peer: { identity: Uint8Array }): boolean => peer.identity.join() === node.join();
    const neighbour = cohort.find((peer) => !isOwn(peer));
    const shown = name === lies.set ? cohort.filter((peer) => isOwn(peer) || peer === neighbour) : cohort;
    return original.pairwiseMask(p, secret, node, other, shown, ...rest);
  };
  return { ...original, pairwiseMask };
});
vi.mock('../../protocols/node.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/node.ts')>();
  const makeConfirmation: typeof original.makeConfirmation = (...args) => {
    const [, , , , place, secrets] = args;
    if (place.node === lies.key) secrets.key[0]! += 1;
    return original.makeConfirmation(...args);
  };
  return { ...original, makeConfirmation };
});

const honest = { ...lies };
const nodes = ['eu', 'us', 'apac'];
let lab: FederationLab;
let number = 0;

/** Opens a round in which somebody lies, and waits for its end. */
async function roundWith(told: Partial<typeof lies>, window = 0): Promise<{ id: string; end: string; round: Round }> {
  Object.assign(lies, honest, told);
  const id = await lab.open(window);
  number++;
  const end = await lab.end(id);
  Object.assign(lies, honest);
  return { id, end, round: lab.round(id) };
}

const sumOf = (names: readonly string[]) => plainSum(names, number, 300);

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, coordinator: { readyMs: 2500 } });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

describe('a member', () => {
  it('P8 whose share is off by one is named, and the round completes from the others', async () => {
    const { id, end, round } = await roundWith({ share: 'member-2' });
    expect(end).toBe('released');
    expect(await lab.result(id)).toEqual(sumOf(nodes));
    expect(round.phase === 'released' && round.liars).toEqual(['member-2']);
  });

  it('that complains about every box is answered once, and then the round goes on without it', async () => {
    const { id, end, round } = await roundWith({ complains: 'member-1' });
    expect(end).toBe('released');
    expect(await lab.result(id)).toEqual(sumOf(nodes));
    expect(round.attempts).toHaveLength(1);
    const complaints = [...round.attempts[0]!.complaints.values()].flatMap((by) => [...by]);
    expect(complaints.length).toBeGreaterThan(0);
    expect(complaints.every(([member]) => member === 'member-1')).toBe(true);
    expect(round.attempts[0]!.ready).toEqual(new Set(['member-2', 'member-3']));
  });
});

describe('a node', () => {
  it('P8 that seals wrong seeds seals once more and is left out of the next attempt', async () => {
    const { id, end, round } = await roundWith({ seals: 'us', to: [0, 1] });
    expect(end).toBe('released');
    expect(round.attempts.map((attempt) => attempt.cohort.map((upload) => upload.node).sort())).toEqual([
      ['apac', 'eu', 'us'],
      ['apac', 'eu'],
    ]);
    const [first] = round.attempts;
    const complaints = first!.complaints.get(first!.confirms.get('us')!.hash)!;
    expect([...complaints.keys()].sort()).toEqual(['member-1', 'member-2']);
    for (const complaint of complaints.values()) expect(complaint).toMatchObject({ final: true });
    expect(await lab.result(id)).toEqual(sumOf(['eu', 'apac']));
  });

  it('that seals wrong seeds to fewer members than matter stays in', async () => {
    const { id, end, round } = await roundWith({ seals: 'us', to: [2] });
    expect(end).toBe('released');
    expect(round.attempts).toHaveLength(1);
    expect(await lab.result(id)).toEqual(sumOf(nodes));
  });

  it('whose payload does not fit its key ends the round by name, and nothing is opened', async () => {
    const { id, end } = await roundWith({ key: 'eu' });
    expect(end).toBe('KEY_DOES_NOT_FIT');
    await expect(lab.result(id)).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  it('whose payload does not fit its key ends the round also when a ready member never answers', async () => {
    const { end, round } = await roundWith({ key: 'eu', silent: 'member-3' }, 1);
    expect(end).toBe('KEY_DOES_NOT_FIT');
    const { decision } = round as Extract<Round, { phase: 'aborted' }>;
    expect([decision!.attempt.ready.size, decision!.answers.size]).toEqual([3, 2]);
  });

  it('P13 that was shown another set: masks do not cancel, nothing opens', async () => {
    const { id, end } = await roundWith({ set: 'apac' }, 3);
    expect(end).toBe('KEY_DOES_NOT_FIT');
    await expect(lab.result(id)).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  it('P14 that was given another model: masks do not cancel, nothing opens', async () => {
    const { id, end } = await roundWith({ model: 'us' }, 4);
    expect(end).toBe('KEY_DOES_NOT_FIT');
    await expect(lab.result(id)).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  it('and with everybody honest again the next round is exact', async () => {
    const { id, end } = await roundWith({}, 5);
    expect(end).toBe('released');
    expect(await lab.result(id)).toEqual(sumOf(nodes));
  });
});
