import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';

// The aggregators add one to the sum of the corrections: well-formed, decided over by the coordinator, and wrong.

const lie = vi.hoisted(() => ({ wrong: false, mendable: true }));
vi.mock('../../protocols/aggregator.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/aggregator.ts')>();
  const addCorrections: typeof original.addCorrections = (...args) => {
    const sum = original.addCorrections(...args);
    const isAggregator = new Error().stack!.includes('party/aggregator');
    if (lie.wrong && isAggregator) sum[100]! ^= 1;
    return sum;
  };
  return { ...original, addCorrections };
});
vi.mock('../../src/party/corrections.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/party/corrections.ts')>();
  const addUpAgain: typeof original.addUpAgain = async (...args) =>
    lie.mendable ? original.addUpAgain(...args) : null;
  return { ...original, addUpAgain };
});

const nodes = ['one', 'two', 'three'];
let lab: FederationLab;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes });
  lie.wrong = true;
});
afterAll(() => lab[Symbol.asyncDispose]());

it('control: a recipient that believes the aggregators cannot open', async () => {
  lie.mendable = false;
  expect(await lab.end(await lab.open())).toBe('KEY_DOES_NOT_FIT');
});

it('a recipient that adds the signed corrections up itself opens the exact sum', async () => {
  lie.mendable = true;
  const id = await lab.open(1);
  expect(await lab.end(id)).toBe('released');
  expect(await lab.result(id)).toEqual(plainSum(nodes, lab.round(id).record.number, 300));
  expect(lab.events.filter(({ event }) => event === 'corrections were added up wrongly')).toHaveLength(1);
});
