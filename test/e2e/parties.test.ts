import { afterAll, beforeAll, expect, it } from 'vitest';
import { FederationLab } from './federation-lab.ts';
import { plainSum } from './lab-parties.ts';

const nodes = ['eu-1', 'us-1', 'apac-1', 'latam-1'];
let lab: FederationLab;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, members: 5, threshold: 3, task: { dimension: 500, minCohort: 3 } });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

it('runs two rounds over gRPC and mutual TLS, with a 3-of-5 quorum, and opens exactly the sums', async () => {
  for (const number of [1, 2]) {
    const id = await lab.open();
    expect(await lab.end(id)).toBe('released');
    expect(lab.round(id).attempts.map(({ cohort }) => cohort.length)).toEqual([4]);
    expect(await lab.result(id)).toEqual(plainSum(nodes, number, 500));
  }
}, 60_000);
