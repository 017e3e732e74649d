import { join } from 'node:path';
import { FOLDER, readCard } from '../keys/party-folder.ts';
import { type RegionTables, readRegionFiles } from '../learning/datasets.ts';
import { loadTensorFlow } from '../learning/load-tensorflow.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import { type EngineChoice, warmTasks } from '../party/engines.ts';
import { type NodeSetting, runNode } from '../party/node.ts';
import { readNodeConfig } from '../party/node-config.ts';
import { withStatistics } from '../statistics/node-statistics.ts';
import { isStatistics } from '../statistics/plan.ts';
import { createNodeSource } from '../training/node-source.ts';
import { headFiles, residualFiles } from '../training/residuals.ts';
import { writeCheckSums } from './check-sums.ts';
import { CliError } from './exit.ts';

/** What error feedback has not sent yet, in the node's folder. */
const RESIDUALS = 'residuals';

export interface StartedNode {
  readonly name: string;
  readonly rows: number;
  readonly tasks: readonly string[];
  stop(): Promise<void>;
}

/** A node that trains on its own tables, as node.yaml says. */
export async function startNode(folder: string, engine: EngineChoice | null, listen?: string): Promise<StartedNode> {
  return trainOn(folder, readOwnRows(folder), engine, listen);
}

/** The rows that node.yaml names. @throws CliError INVALID where it names none; LearningError */
export function readOwnRows(folder: string): TrainingRows {
  const config = readNodeConfig(folder);
  if (config.data === null) {
    throw new CliError(
      'INVALID',
      `${join(folder, 'node.yaml')} names no data: add data.train and data.heldOut, name tables in a file of their own ('veilsum node train'), or send updates with 'veilsum node submit'`,
    );
  }
  const { train, heldOut } = config.data;
  const { name } = readCard(join(folder, FOLDER.card));
  const tables = readRegionFiles(name, join(folder, train), join(folder, heldOut));
  return { tables, schemas: [] };
}

/** What a node trains on: its records, cut, and feature schemas beside the built-in ones. */
export interface TrainingRows {
  readonly tables: RegionTables;
  readonly schemas: readonly FeatureSchema[];
}

/**
 * Takes part in every round of the node's tasks that train on tables, until it is stopped. Rows are encoded for all
 * tasks before anything is connected: what is wrong with a table shows before anything is sent.
 */
export async function trainOn(
  folder: string,
  { tables, schemas }: TrainingRows,
  engine: EngineChoice | null,
  listen?: string,
): Promise<StartedNode> {
  const config = readNodeConfig(folder);
  const learning = config.tasks.filter((task) => task.learning !== null);
  if (learning.length === 0) {
    throw new CliError(
      'INVALID',
      `no task of ${join(folder, 'node.yaml')} trains on tables: all are for updates from files`,
    );
  }
  const training = learning.filter((task) => !isStatistics(task));
  const { tf, backend, notes } = await loadTensorFlow();
  const source = createNodeSource({
    ...{ tf, tables, tasks: training, schemas },
    residuals: residualFiles(join(folder, RESIDUALS)),
    heads: headFiles(folder),
  });
  let name = '';
  const { stop } = await runNode(
    folder,
    async (party) => {
      name = party.name;
      party.say('learning engine', { backend, ...(notes.length === 0 ? {} : { notUsed: notes.join('; ') }) });
      const { members, threshold } = party.genesis;
      await warmTasks(learning, { members: members.length, threshold }, engine ?? config.engine);
      return {
        policy: config.policy,
        policyNow: () => readNodeConfig(folder).policy,
        tasks: learning,
        engine: engine ?? config.engine,
        source: withStatistics(source, { tables, tasks: learning, schemas }),
        checkSums: (round, values) => writeCheckSums(folder, round, values),
      } satisfies NodeSetting;
    },
    listen ?? config.listen,
  );
  const rows = tables.train.rowCount + tables.heldOut.rowCount;
  return { name, rows, tasks: learning.map(({ task }) => task), stop };
}
