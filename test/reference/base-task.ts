import type { Task } from '../../protocols/task.ts';

/** A small task for tests: two nodes of two organisations are enough. */
export const BASE_TASK: Task = {
  version: 1,
  task: 'lab',
  window: 'w1',
  unit: 'record',
  recipients: ['owner'],
  dimension: 300,
  bits: 16,
  nodesMax: 16,
  minCohort: 2,
  minHonest: 2,
  minOrganisations: 2,
  noise: { sigma2Numerator: '10000', sigma2Denominator: '1' },
  sensitivity2: '100',
  clipMicro: 1_000_000,
  scale: 10,
  maxAttempts: 4,
  maxLeaves: 1000,
  uploadMs: 40_000,
  confirmMs: 40_000,
  checkSums: false,
  learning: null,
};
