import { join } from 'node:path';
import { readRegionFiles } from '../learning/datasets.ts';
import { loadTensorFlow } from '../learning/load-tensorflow.ts';
import { type EngineChoice, warmTasks } from '../party/engines.ts';
import { type NodeSetting, runNode } from '../party/node.ts';
import { readNodeConfig } from '../party/node-config.ts';
import { createNodeSource } from '../training/node-source.ts';
import { writeCheckSums } from './check-sums.ts';
import { CliError } from './exit.ts';

export interface StartedNode {
  readonly name: string;
  readonly rows: number;
  readonly tasks: readonly string[];
  stop(): Promise<void>;
}

/** A node that trains on its own tables, as node.yaml says. */
export async function startNode(folder: string, engine: EngineChoice | null, listen?: string): Promise<StartedNode> {
  const config = readNodeConfig(folder);
  if (config.data === null) {
    throw new CliError(
      'INVALID',
      `${join(folder, 'node.yaml')} names no data: add data.train and data.heldOut, or send updates with 'veilsum node submit'`,
    );
  }
  const learning = config.tasks.filter((task) => task.learning !== null);
  const { train, heldOut } = config.data;
  const { tf } = await loadTensorFlow();
  let name = '';
  let rows = 0;
  const { stop } = await runNode(
    folder,
    async (party) => {
      name = party.name;
      const tables = readRegionFiles(party.name, join(folder, train), join(folder, heldOut));
      rows = tables.train.rowCount + tables.heldOut.rowCount;
      const { members, threshold } = party.genesis;
      await warmTasks(learning, { members: members.length, threshold }, engine ?? config.engine);
      const source = createNodeSource({ tf, tables, tasks: learning });
      return {
        policy: config.policy,
        policyNow: () => readNodeConfig(folder).policy,
        tasks: learning,
        engine: engine ?? config.engine,
        source,
        checkSums: (round, values) => writeCheckSums(folder, round, values),
      } satisfies NodeSetting;
    },
    listen ?? config.listen,
  );
  return { name, rows, tasks: learning.map(({ task }) => task), stop };
}
