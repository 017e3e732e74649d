import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalBytes, type Json } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { deriveParameters } from '../../crypto/params.ts';
import { epsilonOfRhoNano } from '../../protocols/accountant.ts';
import { available, charge, newLedger, reserve } from '../../protocols/ledger.ts';
import { chargeOfTask, type Task, taskField } from '../../protocols/task.ts';
import { datasetSchema } from '../../src/learning/datasets.ts';
import { parseSchema } from '../../src/learning/schema.ts';
import { budgetFor, epsilonOf } from '../../src/training/budget.ts';
import { TrainingError } from '../../src/training/errors.ts';
import { quantiserOf } from '../../src/training/fit-noise.ts';
import { parseLearningPlan, schemaHashOf } from '../../src/training/learning-plan.ts';
import { type LearningRequest, makeTask, makeUpdatesTask } from '../../src/training/make-task.ts';

const base = { dataset: 'synthetic', nodes: 4, window: 'week 1', recipients: ['owner'] } as const;
const make = (over: Partial<LearningRequest> = {}) => makeTask({ ...base, ...over });

/** The code of what `run` throws. */
function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof TrainingError || error instanceof CryptoError) return error.code;
    throw error;
  }
  return 'nothing';
}

describe('a budget', () => {
  it('is that of the published conversion, less the reserve for failures, and epsilon is shown from above', () => {
    const budget = budgetFor(8, 1e-5);
    expect(budget).toMatchObject({ epsilonMicro: 8_000_000, deltaExponent: 5 });
    // rho(8, 1e-5) = 1.2297145 by IBM's cdp2adp.py.
    expect(budget.rhoNano).toBeGreaterThan(1_229_714_000);
    expect(budget.rhoNano).toBeLessThan(1_229_714_500);
    expect(epsilonOf(budget.rhoNano, 5)).toBeLessThanOrEqual(8);
    expect(epsilonOf(budget.rhoNano, 5)).toBeGreaterThan(epsilonOfRhoNano(BigInt(budget.rhoNano), 1e-5));
    expect(epsilonOf(budget.rhoNano + 10, 5)).toBeGreaterThan(8);
  });

  it.each([
    [0, 1e-5],
    [-1, 1e-5],
    [Number.NaN, 1e-5],
    [1e-7, 1e-5],
    [8, 0],
    [8, 1],
    [8, 3e-5],
    [8, Number.NaN],
  ])('of epsilon %d and delta %d is refused', (epsilon, delta) => {
    expect(codeOf(() => budgetFor(epsilon, delta))).toBe('BAD_BUDGET');
  });
});

describe('a task', () => {
  it('spends at most its budget, wastes less than one step of variance, and its ledger takes no round more', () => {
    const cases = fc.record({
      epsilonMicro: fc.integer({ min: 100_000, max: 20_000_000 }),
      rounds: fc.integer({ min: 1, max: 300 }),
      nodes: fc.integer({ min: 3, max: 64 }),
      unit: fc.constantFrom('record' as const, 'node' as const),
      model: fc.constantFrom('logistic' as const, 'mlp' as const),
    });
    fc.assert(
      fc.property(cases, ({ epsilonMicro, ...request }) => {
        const made = make({ ...request, epsilon: epsilonMicro / 1e6, recordsMax: 4096, nodesMax: 64 });
        const { task, budget, rounds } = made;
        expect(made.rhoNano).toBe(rounds * chargeOfTask(task));
        expect(made.rhoNano).toBeLessThanOrEqual(budget.rhoNano);
        expect(made.epsilon).toBeLessThanOrEqual(epsilonMicro / 1e6);
        const { sigma2Numerator } = task.noise;
        const narrower = { ...task.noise, sigma2Numerator: String(BigInt(sigma2Numerator) - 2n) };
        if (BigInt(sigma2Numerator) > 18n) {
          expect(rounds * chargeOfTask({ ...task, noise: narrower })).toBeGreaterThan(budget.rhoNano - rounds);
        }
        // It travels in canonical JSON and comes back as the same task; parameters exist for it.
        expect(taskField.parse(JSON.parse(new TextDecoder().decode(canonicalBytes(task as unknown as Json))))).toEqual(
          task,
        );
        expect(deriveParameters({ ...task, members: 5, threshold: 3 }).dimension).toBe(task.dimension);
        expect(quantiserOf(task).bits).toBe(task.bits);
      }),
      { numRuns: 60 },
    );
  });

  it('of ten rounds leaves the ledger with less than one more', () => {
    const { task, budget } = make({ profile: 'demo' });
    let ledger = newLedger(budget.rhoNano);
    for (let round = 1; round <= 10; round++) {
      const reserved = reserve(ledger, `${round}`, chargeOfTask(task));
      if ('rejected' in reserved) throw new Error('the budget ended early');
      const charged = charge(reserved, `${round}`);
      if ('rejected' in charged) throw new Error('the charge was refused');
      ledger = charged;
    }
    expect(available(ledger)).toBeLessThan(chargeOfTask(task) / 1000);
    expect(reserve(ledger, '11', chargeOfTask(task))).toMatchObject({ rejected: 'BUDGET_EXCEEDED' });
  });

  it('scales so that rounding costs little noise, for tables and for large updates', () => {
    for (const { task } of [
      make(),
      make({ model: 'mlp' }),
      make({ unit: 'node' }),
      makeUpdatesTask({ ...base, dimension: 1_000_000, clip: 1 }),
    ]) {
      const unrounded = ((task.clipMicro / 1e6) * task.scale) ** 2;
      expect(Number(task.sensitivity2)).toBeLessThanOrEqual(1.05 * unrounded);
      expect(Number(task.sensitivity2)).toBeGreaterThan(unrounded);
      expect(Math.log2(task.scale) % 1).toBe(0);
    }
    // 1,024 nodes leave 22 bits: a coarser scale, and still a task.
    const wide = make({ nodesMax: 1024 }).task;
    expect(wide.bits).toBeLessThanOrEqual(22);
    expect(wide.scale).toBeLessThan(make().task.scale);
  });

  it('that cannot be is refused by name', () => {
    expect(codeOf(() => make({ recordsMax: 2 ** 24, nodesMax: 1024, clip: 64 }))).toBe('DOES_NOT_FIT');
    expect(codeOf(() => make({ minCohort: 2, minHonest: 3 }))).toBe('DOES_NOT_FIT');
    expect(codeOf(() => make({ quorum: { members: 4, threshold: 3 } }))).toBe('DOES_NOT_FIT');
    expect(codeOf(() => make({ rounds: 0 }))).toBe('BAD_BUDGET');
    expect(codeOf(() => make({ epsilon: 0.000001, rounds: 1000 }))).toBe('BAD_BUDGET');
    expect(codeOf(() => make({ delta: 1e-20 }))).toBe('BAD_BUDGET');
  });
});

describe('a learning plan', () => {
  const { task } = make();
  const changed = (learning: object): Task => ({ ...task, learning: { ...task.learning, ...learning } });

  it('is read back as it was written', () => {
    expect(parseLearningPlan(task)).toEqual(task.learning);
  });

  it.each<[string, Task]>([
    ['absent', { ...task, learning: null }],
    ['of another unit', { ...task, unit: 'node' }],
    ['of another length', { ...task, dimension: task.dimension + 1 }],
    ['with an unknown field', changed({ surprise: 1 })],
    ['of another version', changed({ version: 2 })],
    ['with a fraction', changed({ countShareMicro: 0.1 })],
    ['with too large a share', changed({ countShareMicro: 600_000 })],
    ['without records', changed({ recordsMax: 0 })],
    ['with an unknown model', changed({ model: { kind: 'forest', inputs: 26 } })],
    ['with a malformed hash', changed({ schema: { name: 'synthetic', hash: 'ab' } })],
  ])('%s is refused', (_name, broken) => {
    expect(codeOf(() => parseLearningPlan(broken))).toBe('BAD_PLAN');
  });

  it('binds sensitivity and bits: what a task states must be what its clip, scale and plan make', () => {
    expect(codeOf(() => quantiserOf(task))).toBe('nothing');
    const lower = { ...task, sensitivity2: String(BigInt(task.sensitivity2) - 1n) };
    expect(chargeOfTask(lower)).toBeLessThanOrEqual(chargeOfTask(task));
    expect(codeOf(() => quantiserOf(lower))).toBe('TASK_MISMATCH');
    expect(codeOf(() => quantiserOf({ ...task, bits: task.bits - 1 }))).toBe('TASK_MISMATCH');
    expect(codeOf(() => quantiserOf({ ...task, clipMicro: task.clipMicro + 100 }))).toBe('TASK_MISMATCH');
    expect(codeOf(() => quantiserOf({ ...task, scale: 2 * task.scale }))).toBe('TASK_MISMATCH');
    expect(codeOf(() => quantiserOf(changed({ recordsMax: 1_000_000 })))).toBe('TASK_MISMATCH');
    expect(codeOf(() => quantiserOf({ ...task, learning: null }))).toBe('BAD_PLAN');
  });

  it('names the schema by content: defaults and order of keys do not matter, a changed level does', () => {
    const schema = datasetSchema('synthetic');
    const turned = Object.fromEntries(Object.entries(schema).reverse());
    expect(schemaHashOf(parseSchema(turned))).toBe(schemaHashOf(schema));
    const [first, ...rest] = schema.features;
    const other = { ...schema, features: [{ ...first!, limit: 3.5 }, ...rest] };
    expect(schemaHashOf(parseSchema(other))).not.toBe(schemaHashOf(schema));
  });
});
