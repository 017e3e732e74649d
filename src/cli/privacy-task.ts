import { releaseOf } from '../../protocols/record.ts';
import { chargeOfTask, type Task, taskField } from '../../protocols/task.ts';
import { readValidated } from '../config/files.ts';
import { isStatistics } from '../statistics/plan.ts';
import { parseLearningPlan } from '../training/learning-plan.ts';
import { noiseRatio } from '../training/sampling.ts';
import { sensitiveRelease } from '../training/sensitive.ts';
import { unitOf } from './budget.ts';
import { printable } from './output.ts';
import { printPrivacy } from './privacy-table.ts';

/** The columns under stronger protection, and the part of the whole sensitivity that they have; null where none are. */
export function sensitiveOf(task: Task): { readonly columns: readonly string[]; readonly share: number } | null {
  if (task.learning === null || isStatistics(task)) return null;
  const plan = parseLearningPlan(task);
  if (plan.unit !== 'record' || plan.sensitive === undefined) return null;
  const share = noiseRatio(releaseOf({ ...task, parameters: task })) / noiseRatio(sensitiveRelease(task, plan));
  return { columns: plan.sensitive.columns, share };
}

/** What rounds of a task cost, by all accountants, and what they are charged. */
export function printTaskPrivacy(
  file: string,
  { rounds, delta, json }: { readonly rounds: number; readonly delta: number; readonly json?: boolean },
  print: (line: string) => void,
): void {
  const task = readValidated(file, 'the task file', taskField);
  const sensitive = sensitiveOf(task);
  const { sampling } = task;
  if (json !== true) {
    const charge = (chargeOfTask(task) / 1e9).toPrecision(4);
    print(`task ${printable(task.task)}, per ${task.unit}; a round is charged ${charge} in ${unitOf(sampling?.order)}`);
    if (sensitive !== null) print(`sensitive: ${sensitive.columns.map(printable).join(', ')}`);
  }
  const sensitivity2 = Number(task.sensitivity2);
  printPrivacy(
    {
      ...{ rounds, delta, json },
      rate: sampling === undefined ? 1 : sampling.rateMicro / 1e6,
      order: sampling?.order,
      noise: noiseRatio(releaseOf({ ...task, parameters: task })),
      sensitiveShare: sensitive?.share,
      // In whole numbers the L1 norm is at most the square of the L2 norm.
      steps: { sensitivity2, l1: Math.min(Math.sqrt(task.dimension * sensitivity2), sensitivity2) },
    },
    print,
  );
}
