import type { Task } from '../../protocols/task.ts';
import type { Region } from '../learning/datasets.ts';
import { loadTensorFlow } from '../learning/load-tensorflow.ts';
import { trainReferences } from '../learning/references.ts';
import { parseLearningPlan, serverSettingsOf, specOf } from '../training/learning-plan.ts';
import type { DemoReport } from './report.ts';

/** What the federated model is compared with: trained here, without privacy, from rows that no real party has in one place. */
export async function referencesOf(
  task: Task,
  regions: readonly Region[],
  nodes: readonly string[],
  rounds: number,
): Promise<Pick<DemoReport, 'reference' | 'curves'>> {
  const { tf } = await loadTensorFlow();
  const plan = parseLearningPlan(task);
  const { central, regionOnly } = trainReferences(tf, specOf(plan), regions, { ...serverSettingsOf(plan), rounds });
  return {
    reference: {
      central: central.aucPerRound.at(-1)!,
      regionOnly: regionOnly.map((run, i) => ({ region: nodes[i]!, auc: run.aucPerRound.at(-1)! })),
    },
    curves: {
      central: central.aucPerRound,
      regionOnly: regionOnly.map((run, i) => ({ region: nodes[i]!, aucPerRound: run.aucPerRound })),
    },
  };
}
