import { afterEach, expect, it, vi } from 'vitest';
import { FederationLab } from '../e2e/federation-lab.ts';

// Two rounds open at once, for two windows: each of them fits the site's own budget, both together do not.

/** The control: a site's policy that is asked about everything but its budget. */
const weak = vi.hoisted(() => ({ budget: false }));
vi.mock('../../protocols/site-policy.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/site-policy.ts')>();
  const checkRound: typeof original.checkRound = (policy, ...rest) => {
    const endless = { ...policy, budgetRhoNano: Number.MAX_SAFE_INTEGER };
    return original.checkRound(weak.budget ? endless : policy, ...rest);
  };
  return { ...original, checkRound };
});

const nodes = ['one', 'two', 'slow'];
/** What a round of the lab costs: 100 / (2 * 2 * 10000), in units of 1e-9. */
const COST = 2_500_000;
let lab: FederationLab;

afterEach(() => {
  weak.budget = false;
  return lab[Symbol.asyncDispose]();
}, 60_000);

async function race(budgetRhoNano: number): Promise<string[]> {
  const task = { confirmMs: 2000 };
  lab = await FederationLab.start({ nodes, absent: ['slow'], task, policy: { budgetRhoNano } });
  const ids = [await lab.open(0), await lab.open(1)];
  for (const id of ids) await lab.until(id, (r) => r.uploads.size === 2);
  await lab.run('slow');
  const ends: string[] = [];
  for (const id of ids) ends.push(await lab.end(id));
  return ends;
}

it('P18 racing rounds do not overspend what a site allows: its node confirms one of them', async () => {
  expect(await race(2 * COST - 1)).toEqual(['released', 'COHORT_TOO_SMALL']);
  const refused = lab.events.filter(({ event }) => event === 'round refused');
  expect(refused.map(({ party, code }) => [party, code]).slice(-3)).toContainEqual(['one', 'POLICY_REFUSES']);
}, 90_000);

it('control: where nobody looks at the budget, both are opened', async () => {
  weak.budget = true;
  expect(await race(2 * COST - 1)).toEqual(['released', 'released']);
}, 90_000);
