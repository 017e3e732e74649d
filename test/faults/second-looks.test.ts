import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { SitePolicy } from '../../protocols/site-policy.ts';
import type { Round } from '../../protocols/transcript.ts';
import { runNode } from '../../src/party/node.ts';
import type { Running } from '../../src/party/running.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum, updateOf } from '../e2e/lab-parties.ts';

// What a node refused is looked at again when what it rests on changes; what is final says so.

const fault = vi.hoisted(() => ({ leftOut: '' }));
vi.mock('../../protocols/model-box.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/model-box.ts')>();
  // As if the node had been enrolled between the sealing and the model's leaf.
  const sealModel: typeof original.sealModel = (p, rng, t, model) => {
    const parties = new Map([...t.parties].filter(([name]) => name !== fault.leftOut));
    return original.sealModel(p, rng, { ...t, parties }, model);
  };
  return { ...original, sealModel };
});

const nodes = ['one', 'two', 'fixed', 'slow', 'late'];
const running: Running[] = [];
let lab: FederationLab;
let policy: SitePolicy | null;

beforeAll(async () => {
  fault.leftOut = 'late';
  const absent = ['two', 'fixed', 'slow'];
  lab = await FederationLab.start({ nodes, absent, task: { uploadMs: 6000, confirmMs: 6000 } });
  await lab.log.until((t) => t.models.length === 1);
  fault.leftOut = '';
}, 60_000);

afterAll(async () => {
  for (const party of running) await party.stop();
  await lab[Symbol.asyncDispose]();
}, 60_000);

const said = (party: string, event: string) => lab.events.filter((e) => e.party === party && e.event === event);
const strict = (): SitePolicy => ({ ...lab.policy, minCohort: 7 });

/** A node whose site allows nothing at first. @param isReread - whether its policy is read again. */
async function runStrict(name: string, isReread: boolean): Promise<void> {
  const policyNow = (): SitePolicy => {
    if (policy === null) throw new Error('half written');
    return policy;
  };
  const source = { update: async (_task: unknown, r: Round) => updateOf(name, r.record.number, 300) };
  const base = { policy: strict(), tasks: lab.tasks, engine: 'auto' as const, source, checkSums: () => {} };
  running.push(await runNode(lab.path(name), async () => (isReread ? { ...base, policyNow } : base)));
}

describe('a node whose site does not allow a round', () => {
  it('takes part once its policy does, without a restart; control: one that reads it once stays out', async () => {
    policy = strict();
    await runStrict('two', true);
    await runStrict('fixed', false);
    const id = await lab.open();
    await vi.waitFor(() => expect(said('two', 'round refused')).toHaveLength(1), 5000);
    expect(said('two', 'round refused')[0]).toMatchObject({
      code: 'POLICY_REFUSES',
      until: expect.stringContaining('policy.yaml'),
    });
    policy = null;
    await vi.waitFor(() => expect(said('two', 'policy unreadable')).toHaveLength(1), 5000);
    policy = lab.policy;
    expect(await lab.end(id)).toBe('released');
    expect(await lab.result(id)).toEqual(plainSum(['one', 'two'], 1, 300));
    expect(said('two', 'round refused')).toHaveLength(1); // not said at every look
    expect(said('fixed', 'round refused')).toHaveLength(1);
  }, 60_000);

  it('a node that the model is not sealed to says that it waits for the next one', async () => {
    const [waits] = said('late', 'waits for the next model');
    expect(waits).toMatchObject({ round: 1, model: 0, why: expect.stringContaining('from the next model on') });
    expect(said('late', 'duty failed')).toEqual([]);
  });

  it('refuses a set, confirms it when the policy allows it, and confirms it once', async () => {
    const id = await lab.open(1);
    await lab.until(id, (round) => ['one', 'two', 'late'].every((name) => round.uploads.has(name)));
    policy = strict();
    await lab.until(id, (round) => round.phase === 'confirming');
    await vi.waitFor(() => expect(said('two', 'round refused')).toHaveLength(2), 5000);
    policy = lab.policy;
    expect(await lab.end(id)).toBe('released');
    expect(lab.round(id).attempts).toHaveLength(1);
    expect(said('two', 'confirmed').filter(({ round }) => round === 2)).toHaveLength(1);
    expect(await lab.result(id)).toEqual(plainSum(['one', 'two', 'late'], 2, 300));
  }, 60_000);
});
