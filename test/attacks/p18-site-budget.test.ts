import { afterEach, expect, it } from 'vitest';
import { FederationLab } from '../e2e/federation-lab.ts';

// Two rounds open at once, for two windows: each of them fits the site's own budget, both together do not.

const nodes = ['one', 'two', 'slow'];
/** What a round of the lab costs: 100 / (2 * 2 * 10000), in units of 1e-9. */
const COST = 2_500_000;
let lab: FederationLab;

afterEach(() => lab[Symbol.asyncDispose](), 60_000);

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

it('control: where both fit, both are opened', async () => {
  expect(await race(2 * COST)).toEqual(['released', 'released']);
}, 90_000);
