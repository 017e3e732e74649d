import type { Task } from '../protocols/task.ts';

/** A task of given dimension, with nothing to train: benchmarks change what they measure. */
export function benchTask(dimension: number): Task {
  return {
    version: 1,
    task: 'bench',
    window: 'bench',
    unit: 'record',
    recipients: ['recipient'],
    dimension,
    bits: 16,
    nodesMax: 128,
    minCohort: 3,
    minHonest: 2,
    minOrganisations: 2,
    noise: { sigma2Numerator: '10000', sigma2Denominator: '1' },
    sensitivity2: '1',
    clipMicro: 1_000_000,
    scale: 1,
    maxAttempts: 4,
    maxLeaves: 1000,
    uploadMs: 60_000,
    confirmMs: 60_000,
    checkSums: false,
    learning: null,
  };
}
