import { z } from 'zod';
import { layersOf, type ModelSpec } from '../learning/model.ts';
import { layersOfPart } from '../learning/shared-layers.ts';
import { TrainingError } from './errors.ts';

/** Names of the model's layers that stay on each node. */
export const localLayersField = z.array(z.string().min(1).max(64)).min(1).max(8);

/**
 * Refuses plans of local layers that cannot be, and under unit record those that would be charged too little: a node's head
 * is made of all its records, in the clear, and the next round's gradient of *every* record depends on it. One record more
 * then moves all of them, while the task's sensitivity is that of one (src/training/README.md has the argument).
 *
 * @throws TrainingError BAD_PLAN, UNACCOUNTED.
 */
export function requireSoundLocal(spec: ModelSpec, local: readonly string[], unit: 'record' | 'node'): void {
  const names = layersOf(spec).map(({ name }) => name);
  const unknown = local.find((name) => !names.includes(name));
  if (unknown !== undefined || new Set(local).size !== local.length)
    throw new TrainingError('BAD_PLAN', `local layers: the model has ${names.join(', ')}, each can be named once`);
  if (layersOfPart({ spec, local }, 'shared').length === 0)
    throw new TrainingError(
      'BAD_PLAN',
      "local layers: none is left to train together; 'veilsum model personalise' fits a head of its own to a common model",
    );
  if (unit === 'record')
    throw new TrainingError(
      'UNACCOUNTED',
      'local layers are made of all records of a node, and every later gradient depends on them, which the account of unit ' +
        "record does not cover: train all layers together and run 'veilsum model personalise' afterwards, at no cost, or use unit node",
    );
}
