import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { chargeOf, type RoundRecord } from '../../protocols/record.ts';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import { fitsTask } from '../../protocols/task-fit.ts';
import { primitives } from '../../src/party/party.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';
import { BASE_TASK } from '../reference/base-task.ts';

// P18 The coordinator writes records that name the sites' task by its true hash, and another noise, price or window.

const lie = vi.hoisted(() => ({
  record: (record: unknown): unknown => record,
  isTrusting: false,
}));
vi.mock('../../protocols/task.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/task.ts')>();
  const recordOf: typeof original.recordOf = (...args) => lie.record(original.recordOf(...args)) as RoundRecord;
  return { ...original, recordOf };
});
vi.mock('../../protocols/task-fit.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/task-fit.ts')>();
  const fits: typeof original.fitsTask = (...args) => (lie.isTrusting ? null : original.fitsTask(...args));
  return { ...original, fitsTask: fits };
});

/** So much noise that it costs one unit of the ledger, if it were there. */
function cheap(record: unknown): unknown {
  const honest = record as RoundRecord;
  const noise = { sigma2Numerator: `1${'0'.repeat(30)}`, sigma2Denominator: '1' };
  return { ...honest, noise, charge: { rhoNano: chargeOf({ ...honest, noise }) } };
}

const nodes = ['one', 'two', 'three'];
let lab: FederationLab;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, task: { uploadMs: 12_000 } });
});
afterAll(() => lab[Symbol.asyncDispose]());
beforeEach(() => {
  lie.record = (record) => record;
  lie.isTrusting = false;
});

const refusals = () =>
  lab.events.filter(({ event }) => event === 'round refused').map(({ party, code }) => [party, code]);

describe('a record that is not of the task it names', () => {
  it('is refused by every node: no upload, no charge', async () => {
    lie.record = cheap;
    const id = await lab.open();
    expect(await lab.end(id)).toBe('COHORT_TOO_SMALL');
    expect(lab.round(id).uploads.size).toBe(0);
    expect(refusals().sort()).toEqual(nodes.map((node) => [node, 'PARAMETERS_MISMATCH']).sort());
    expect(lab.log.transcript.ledger.spentRhoNano).toBe(0);
  });

  it('control: nodes that only look at the hash give an exact sum for one unit instead of 2,500,000', async () => {
    lie.record = cheap;
    lie.isTrusting = true;
    const id = await lab.open(1);
    expect(await lab.end(id)).toBe('released');
    expect(lab.log.transcript.ledger.spentRhoNano).toBe(1);
    expect(await lab.result(id)).toEqual(plainSum(nodes, lab.round(id).record.number, 300));
  });

  it('honest, is taken', async () => {
    const id = await lab.open(2);
    expect(await lab.end(id)).toBe('released');
    expect(lab.log.transcript.ledger.spentRhoNano).toBe(2_500_001);
  });
});

describe('every field that a task has', () => {
  const task: Task = { ...BASE_TASK, window: 'w1' };
  const record = () => [...lab.log.transcript.rounds.values()].at(-1)!.record;
  // Not in a record: what its hash says, and what learning does with the model.
  const elsewhere: readonly (keyof Task)[] = ['version', 'learning'];

  it.each(Object.keys(task).filter((field) => !elsewhere.includes(field as keyof Task)))('%s is compared', (field) => {
    const same = record();
    const own = lab.tasks.find((t) => taskHashOf(primitives, t) === same.taskHash)!;
    expect(fitsTask(same, own)).toBeNull();
    const value = own[field as keyof Task];
    const other = Array.isArray(value)
      ? ['somebody']
      : typeof value === 'number'
        ? value + 1
        : typeof value === 'boolean'
          ? !value
          : typeof value === 'object'
            ? { sigma2Numerator: '10001', sigma2Denominator: '1' }
            : field === 'unit'
              ? 'node'
              : `${value as string}9`;
    expect(fitsTask(same, { ...own, [field]: other } as Task)?.rejected).toMatch(/MISMATCH/);
  });
});
