import type { Epsilon } from './runs.ts';

export const MODEL = { logistic: 'logistic regression', mlp: 'neural network (one hidden layer)' } as const;

export const epsilonName = (epsilon: Epsilon): string => (epsilon === 'none' ? 'no privacy' : `epsilon ${epsilon}`);

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
