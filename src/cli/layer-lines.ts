import type { Task } from '../../protocols/task.ts';
import { isStatistics } from '../statistics/plan.ts';
import { parseLearningPlan } from '../training/learning-plan.ts';
import { counted, grouped, printable } from './output.ts';

/** Which layers updates have by name, and which ones of a model stay on the nodes: nothing for tasks that say nothing of them. */
export function layerLines(task: Task): (readonly [string, string])[] {
  const named = (task.tensors ?? []).map(({ name, shape }) => ['layer', `${printable(name)} [${shape}]`] as const);
  const { localLayers } = task.learning === null || isStatistics(task) ? {} : parseLearningPlan(task);
  if (localLayers === undefined) return named;
  const own = localLayers.map(printable).join(', ');
  return [...named, ['local', `${own}: each node has its own, which no update and no published model holds`]];
}

/** The same in short, for who made the task. */
export function layerSummary(task: Task): string[] {
  if (task.tensors === undefined) return layerLines(task).map(([, line]) => `Local layers ${line}`);
  const { length } = task.tensors;
  return [`${counted(length, 'layer')} by name, ${grouped(task.dimension)} numbers: updates have just these`];
}
