import { chargeOfTask, type Task } from '../../protocols/task.ts';
import { weightDenominator } from '../learning/contribution.ts';
import { budgetFor } from './budget.ts';
import type { Compression, UpdateShape } from './compression.ts';
import { TrainingError } from './errors.ts';
import { type LearningPlan, updateShape } from './learning-plan.ts';
import { type PseudoPlan, weightOf } from './pseudo-plan.ts';
import { blockOf, exactUpTo } from './rotation.ts';

/** Sums of records are multiples of 2^-30 over this. */
const partsOf = (pseudo: PseudoPlan | undefined): number =>
  pseudo === undefined ? 1 : weightDenominator(weightOf(pseudo));

/** A task of which one sum costs more than this claims no privacy. */
const NO_CLAIM = { epsilon: 100, delta: 1e-5 } as const;

/** How a task is asked to be compressed. */
export interface CompressionRequest {
  /** Part of the trained values that one round carries; left out: all. */
  readonly keep?: number | undefined;
  readonly rotation?: boolean | undefined;
  readonly errorFeedback?: boolean | undefined;
  readonly sendAbove?: number | undefined;
}

/** @throws TrainingError BAD_PLAN. */
export function compressionFor(
  request: CompressionRequest | undefined,
  bits: number | undefined,
  { length }: UpdateShape,
): Compression | undefined {
  const { keep, rotation, errorFeedback, sendAbove } = request ?? {};
  if (keep !== undefined && !(keep >= 1e-6 && keep <= 1))
    throw new TrainingError('BAD_PLAN', 'the part of the values that is kept (--keep) lies between 0 and 1');
  if (sendAbove !== undefined && !(sendAbove >= 1e-6 && sendAbove <= 1e6))
    throw new TrainingError('BAD_PLAN', 'the norm from which on an update is sent is a number from 0.000001');
  const fields = {
    ...(keep === undefined || keep === 1 ? {} : { keepMicro: Math.min(999_999, Math.round(keep * 1e6)) }),
    ...(rotation ? { rotation } : {}),
    ...(errorFeedback ? { errorFeedback } : {}),
    ...(sendAbove === undefined ? {} : { sendAboveMicro: Math.round(sendAbove * 1e6) }),
  };
  return bits === undefined && Object.keys(fields).length === 0 ? undefined : { values: length, ...fields };
}

/**
 * Refuses compression under which a task's account would not be the true one. README.md of this folder gives the arguments.
 *
 * @throws TrainingError UNACCOUNTED; BAD_PLAN; DOES_NOT_FIT.
 */
export function requireSoundCompression(task: Task, plan: LearningPlan | null): void {
  const { compression, unit } = task;
  if (compression === undefined) return;
  if (plan === null)
    throw new TrainingError('BAD_PLAN', `task ${task.task} compresses updates from files: only trained ones can be`);
  const { errorFeedback, keepMicro, rotation, sendAboveMicro } = compression;
  const { length, trained } = updateShape(plan, task.clipMicro);
  if (compression.values !== length)
    throw new TrainingError('BAD_PLAN', `the task compresses ${compression.values} values, its plan makes ${length}`);
  if (errorFeedback && unit === 'record')
    throw new TrainingError(
      'UNACCOUNTED',
      'error feedback adds to a round what earlier rounds left of the same records, so one record moves a sum by more than the ' +
        'clip: use unit node, or leave it out',
    );
  if (errorFeedback && keepMicro === undefined)
    throw new TrainingError('BAD_PLAN', 'error feedback is about values that a round leaves out: give --keep too');
  if (rotation && plan.unit === 'record' && plan.sensitive !== undefined)
    throw new TrainingError(
      'UNACCOUNTED',
      'a rotation mixes the weights of sensitive columns with all others, and their own account with it: leave one of them out',
    );
  if (
    rotation &&
    plan.unit === 'record' &&
    (plan.recordsMax * task.clipMicro * partsOf(plan.pseudo)) / 1e6 > exactUpTo(blockOf(trained))
  )
    throw new TrainingError(
      'DOES_NOT_FIT',
      'a rotated sum of so many records would be rounded, which its sensitivity does not cover: lower --records-max or --clip, or choose another weight of pseudo labels',
    );
  if (sendAboveMicro !== undefined && chargeOfTask(task) <= budgetFor(NO_CLAIM.epsilon, NO_CLAIM.delta).rhoNano)
    throw new TrainingError(
      'UNACCOUNTED',
      'whether a node takes part is public: a node that stays away because its update is short tells something of its rows that no ' +
        `charge covers. A threshold is for tasks that claim no privacy: a round costs more than epsilon ${NO_CLAIM.epsilon} (bits 16)`,
    );
}
