import type { Task } from '../../protocols/task.ts';
import { isStatistics } from '../statistics/plan.ts';
import { parseLearningPlan } from '../training/learning-plan.ts';
import { numbersOf } from '../training/weighted.ts';
import { counted, grouped, printable } from './output.ts';

/** Which layers updates have by name, and which ones of a model stay on the nodes: nothing for tasks that say nothing of them. */
export function layerLines(task: Task): (readonly [string, string])[] {
  const named = (task.tensors ?? []).map(({ name, shape }) => ['layer', `${printable(name)} [${shape}]`] as const);
  const { localLayers } = task.learning === null || isStatistics(task) ? {} : parseLearningPlan(task);
  if (localLayers === undefined) return named;
  const own = localLayers.map(printable).join(', ');
  return [...named, ['local', `${own}: each node has its own, which no update and no published model holds`]];
}

/** That nodes weigh, and where their weights travel: nothing for tasks in which all weigh the same. */
export function weightLines(task: Task): string[] {
  if (task.weightMax === undefined) return [];
  const by = task.learning === null ? 'as they say' : 'as their rows';
  return [
    `nodes weigh ${by}, in secret, up to ${grouped(task.weightMax)}: one value beside the ${counted(numbersOf(task), 'number')} of an update`,
  ];
}

/** The same in short, for who made the task. */
export function layerSummary(task: Task): string[] {
  if (task.tensors === undefined) return layerLines(task).map(([, line]) => `Local layers ${line}`);
  const { length } = task.tensors;
  return [`${counted(length, 'layer')} by name, ${grouped(numbersOf(task))} numbers: updates have just these`];
}
