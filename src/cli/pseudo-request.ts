import type { Task } from '../../protocols/task.ts';
import { isStatistics } from '../statistics/plan.ts';
import { parseLearningPlan } from '../training/learning-plan.ts';
import { type PseudoPlan, WEIGHT_PARTS, weightOf } from '../training/pseudo-plan.ts';
import { usageError } from './exit.ts';
import { printable } from './output.ts';
import type { PseudoFlags } from './pseudo-flags.ts';

/** The first models know little: their labels are not used. */
const FROM_MODEL = 50;

/** @throws CliError USAGE. */
export function pseudoOf(flags: PseudoFlags & { readonly isOfFiles: boolean }): PseudoPlan | undefined {
  const { pseudoLabels, pseudoWeight = 1, pseudoFrom = FROM_MODEL, pseudoSegment, pseudoLocalPrecision } = flags;
  if (pseudoLabels === undefined) {
    const other = [flags.pseudoWeight, flags.pseudoFrom, pseudoSegment, pseudoLocalPrecision];
    if (other.every((value) => value === undefined)) return undefined;
    throw usageError('--pseudo-labels is needed with the other --pseudo flags: how sure a model has to be');
  }
  if (flags.isOfFiles) throw usageError('--pseudo-labels: of tables, with --dataset or --features');
  requireBetween('--pseudo-labels', pseudoLabels, 0.500001, 0.999999);
  const weightParts = Math.round(pseudoWeight * WEIGHT_PARTS);
  requireBetween('--pseudo-weight', weightParts / WEIGHT_PARTS, 1 / WEIGHT_PARTS, 1);
  if (!(Number.isSafeInteger(pseudoFrom) && pseudoFrom >= 0)) throw usageError('--pseudo-from: a whole number from 0');
  if (pseudoLocalPrecision !== undefined) {
    requireBetween('--pseudo-local-precision', pseudoLocalPrecision, 0.500001, 1);
    if (pseudoSegment === undefined)
      throw usageError('--pseudo-local-precision: of which column, --pseudo-segment says');
  }
  return {
    confidenceMicro: Math.round(pseudoLabels * 1e6),
    weightParts,
    fromModel: pseudoFrom,
    ...(pseudoSegment === undefined ? {} : { segment: segmentOf(pseudoSegment, pseudoLocalPrecision) }),
  };
}

/** What a task does with rows without a label, in words. @param rounds - that its budget is for, where that is known. */
export function pseudoLines(task: Task, rounds = Number.POSITIVE_INFINITY): string[] {
  const pseudo = task.learning === null || isStatistics(task) ? undefined : parseLearningPlan(task).pseudo;
  if (pseudo === undefined) return [];
  const { confidenceMicro, fromModel, segment } = pseudo;
  const lines = [
    `rows with a blank label take part from model ${fromModel} on, where it is ${confidenceMicro / 1e6} sure of theirs; each counts ${weightOf(pseudo)}`,
  ];
  if (fromModel >= rounds)
    lines.push(
      `the budget is for ${rounds} rounds, and a log of this task alone has no model ${fromModel} to start one from: lower --pseudo-from`,
    );
  if (segment === undefined) return lines;
  const levels = segment.levels?.map(printable).join(', ') ?? 'every level';
  const own =
    segment.localPrecisionMicro === undefined
      ? ''
      : `, where a node's labelled rows show it right in ${segment.localPrecisionMicro / 1e4} % of cases`;
  return [...lines, `only rows with ${printable(segment.column)}: ${levels}${own}`];
}

function segmentOf(text: string, precision: number | undefined): NonNullable<PseudoPlan['segment']> {
  const [column, ...rest] = text.split('=');
  const levels = rest
    .join('=')
    .split(',')
    .map((level) => level.trim())
    .filter((level) => level !== '');
  if (!column || (levels.length === 0 && precision === undefined))
    throw usageError("--pseudo-segment: a column and its levels, as 'Lead Origin=API,Lead Import'");
  return {
    column: column.trim(),
    ...(levels.length === 0 ? {} : { levels }),
    ...(precision === undefined ? {} : { localPrecisionMicro: Math.round(precision * 1e6) }),
  };
}

function requireBetween(flag: string, value: number, least: number, most: number): void {
  if (!(value >= least && value <= most)) throw usageError(`${flag}: a number from ${least} to ${most}`);
}
