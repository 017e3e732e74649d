import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { SecretBytes } from '../../crypto/secret.ts';
import { disputesOf } from '../../protocols/disputes.ts';
import type { Round } from '../../protocols/transcript.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';

/** Who lies about boxes of recipients, over real connections. Empty: everybody is honest. */
const lies = vi.hoisted(() => ({
  /** A node that seals to recipients another seed than it commits to: this many times a round. */
  seals: '',
  times: 0,
  /** A recipient that complains about every box. */
  complains: '',
  /** Weakened: no decision waits for recipients, which look into their boxes after it. */
  isUnchecked: false,
}));

vi.mock('../../protocols/boxes.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/boxes.ts')>();
  const checkBox: typeof original.checkBox = (...args) =>
    args[5] === lies.complains ? { confirm: args[4].hash, code: 'BOX_UNREADABLE' } : original.checkBox(...args);
  return { ...original, checkBox };
});
vi.mock('../../protocols/disputes.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/disputes.ts')>();
  const waitedFor: typeof original.waitedFor = (...args) => (lies.isUnchecked ? [] : original.waitedFor(...args));
  const shouldCheckBoxes: typeof original.shouldCheckBoxes = (attempt, name) =>
    !(lies.isUnchecked && name === 'owner') && original.shouldCheckBoxes(attempt, name);
  return { ...original, waitedFor, shouldCheckBoxes };
});
vi.mock('../../crypto/share-box.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/share-box.ts')>();
  const sealSeeds: typeof original.sealSeeds = (p, rng, context, holder, publicKey, seeds) => {
    const isLie = holder.role === 'recipient' && new TextDecoder().decode(context.node) === lies.seals;
    const sent = isLie && lies.times-- > 0 ? seeds.map(() => new SecretBytes('another seed', rng(32))) : seeds;
    return original.sealSeeds(p, rng, context, holder, publicKey, sent);
  };
  return { ...original, sealSeeds };
});

const honest = { ...lies };
const nodes = ['eu', 'us', 'apac'];
let lab: FederationLab;
let number = 0;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, coordinator: { readyMs: 3000 } });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

async function roundWith(told: Partial<typeof lies>, window = 0): Promise<{ id: string; end: string; round: Round }> {
  Object.assign(lies, honest, told);
  const id = await lab.open(window);
  number++;
  const end = await lab.end(id);
  Object.assign(lies, honest);
  return { id, end, round: lab.round(id) };
}

const disputes = (round: Round) =>
  disputesOf(round.attempts.at(-1)!).toSorted((a, b) => nodes.indexOf(a.node) - nodes.indexOf(b.node));
const sumOf = (names: readonly string[]) => plainSum(names, number, 300);

/** Nothing was charged since, and nothing is set aside. */
function expectUncharged(spentRhoNano: number): void {
  expect(lab.log.transcript.ledger).toMatchObject({ spentRhoNano, reserved: new Map() });
}

describe('a node', () => {
  it('that seals another seed to the recipient once seals again, and the round ends well', async () => {
    const { id, end, round } = await roundWith({ seals: 'us', times: 1 });
    expect(end).toBe('released');
    const complaints = [...round.attempts[0]!.complaints.values()].flatMap((by) => [...by]);
    expect(complaints).toMatchObject([['owner', { final: false, resealed: expect.stringMatching(/^[0-9a-f]{64}$/) }]]);
    expect(await lab.result(id)).toEqual(sumOf(nodes));
  });

  it('whose second box is no better ends the round before it is charged, and is named with the recipient', async () => {
    const { spentRhoNano } = lab.log.transcript.ledger;
    const { id, end, round } = await roundWith({ seals: 'us', times: 2 });
    expect([end, disputes(round)]).toEqual(['BOX_DISPUTED', [{ node: 'us', holder: 'owner', final: true }]]);
    expectUncharged(spentRhoNano);
    // The next round of the window names it: over a part of the set, which three nodes have none of but the whole.
    const next = await roundWith({});
    expect([next.end, next.round.record.retryOf]).toEqual(['released', id]);
    expect(await lab.result(next.id)).toEqual(sumOf(nodes));
  });

  it('control: where no decision waits for recipients, the round is charged before anybody hears of it', async () => {
    const { spentRhoNano } = lab.log.transcript.ledger;
    const { end, round } = await roundWith({ seals: 'us', times: 9, isUnchecked: true }, 2);
    expect(end).toBe('BOX_UNREADABLE');
    expectUncharged(spentRhoNano + round.record.charge.rhoNano);
  });
});

describe('a recipient', () => {
  it('that complains about every box chooses nobody: the round ends uncharged, and the log names both of every pair', async () => {
    const { spentRhoNano } = lab.log.transcript.ledger;
    const { id, end, round } = await roundWith({ complains: 'owner' }, 1);
    expect(end).toBe('BOX_DISPUTED');
    expect(round.attempts).toHaveLength(1);
    expect(disputes(round).map(({ node, holder }) => `${node} ${holder}`)).toEqual(
      nodes.map((node) => `${node} owner`),
    );
    expectUncharged(spentRhoNano);
    await expect(lab.result(id, 2)).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });
});
