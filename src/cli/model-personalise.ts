import { existsSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { toHex } from '../../crypto/encoding.ts';
import { type Task, taskField, taskHashOf } from '../../protocols/task.ts';
import { readRequired, readValidated, writeDurably } from '../config/files.ts';
import { readRegionConfig } from '../connectors/read-region.ts';
import { verdictOf } from '../experiment/compare.ts';
import { judgeOf, pairedGain } from '../experiment/personal-gain.ts';
import { fitHead } from '../learning/head.ts';
import { loadTensorFlow } from '../learning/load-tensorflow.ts';
import { encodeSafetensors, modelTensors } from '../learning/safetensors.ts';
import { readNodeConfig } from '../party/node-config.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { isStatistics } from '../statistics/plan.ts';
import { parseLearningPlan } from '../training/learning-plan.ts';
import { modelWithHead } from '../training/local-layers.ts';
import { rowsForPlan } from '../training/node-source.ts';
import { headFiles } from '../training/residuals.ts';
import { CliError, usageError } from './exit.ts';
import { readOwnRows, type TrainingRows } from './node-start.ts';
import { readTrainingRows } from './node-train.ts';
import { counted, grouped, printable } from './output.ts';

/** Flags of `model personalise`, as commander gives them. */
export interface PersonaliseFlags {
  readonly model: string;
  readonly out: string;
  /** A region's settings, or the folder of a node whose node.yaml names its rows. */
  readonly config?: string;
  readonly dir?: string;
  readonly task?: string;
}

/** It was fitted to rows in the clear. */
const PRIVATE = 0o600;

/** The one task of the node that trains, or the one that was named. */
function taskOf(folder: string, file: string | undefined): Task {
  if (file !== undefined) return readValidated(file, 'the task file', taskField);
  const hint = 'add --task FILE with the task that the model was trained in';
  if (!existsSync(join(folder, 'node.yaml'))) throw usageError(`${folder} has no node.yaml: ${hint}`);
  const tasks = readNodeConfig(folder).tasks.filter((task) => task.learning !== null && !isStatistics(task));
  if (tasks.length === 1) return tasks[0]!;
  throw usageError(`node.yaml names ${counted(tasks.length, 'task')} that train on tables: ${hint}`);
}

/** The node's folder and its rows. */
async function rowsOf({
  config,
  dir,
}: PersonaliseFlags): Promise<{ folder: string; rows: (task: Task) => Promise<TrainingRows> }> {
  if ((config === undefined) === (dir === undefined))
    throw usageError(
      "give one of --config (a region's settings) and --dir (a node's folder whose node.yaml names CSV files)",
    );
  if (dir !== undefined) return { folder: dir, rows: async () => readOwnRows(dir) };
  const region = readRegionConfig(resolve(config!));
  return { folder: region.resolve(region.config.node), rows: (task) => readTrainingRows(region, [task]) };
}

/** `veilsum model personalise`: a common model with a head of this node's own, for this node's own use. Nothing is sent. */
export async function personalise(flags: PersonaliseFlags, print: (line: string) => void): Promise<void> {
  if (extname(flags.out) !== '.safetensors') throw usageError('--out: the file ends in .safetensors');
  if (existsSync(flags.out)) throw new CliError('FILE_EXISTS', `${flags.out} exists: choose another --out`);
  const { folder, rows } = await rowsOf(flags);
  const task = taskOf(folder, flags.task);
  const plan = parseLearningPlan(task);
  const bytes = new Uint8Array(readRequired(flags.model, 'the model'));
  const heads = headFiles(folder);
  const given = modelWithHead({ task, model: bytes, heads });
  if (plan.localLayers !== undefined && heads.read(taskHashOf(nodePrimitives, task)) === null)
    print(`note: this node has trained no head in task ${printable(task.task)} yet: it starts from the first model's`);
  const { tables, schemas } = await rows(task);
  const { train, heldOut } = rowsForPlan(tables, plan, schemas);
  const { tf } = await loadTensorFlow();
  const fitted = fitHead(tf, given, train, toHex(nodePrimitives.sha256(bytes)));
  writeDurably(flags.out, encodeSafetensors(modelTensors(fitted.model)), PRIVATE);
  const { crossValidated: loss, strength } = fitted;
  const source = plan.localLayers === undefined ? 'the common head' : "this node's head";
  print(
    strength === null
      ? `${flags.out}: ${source} stays as it is: none fitted to the ${grouped(train.rows)} training rows is shown to be better (cross-validated log loss ${loss.given.toFixed(4)}, at best ${loss.fitted.toFixed(4)})`
      : `${flags.out}: a head fitted to ${grouped(train.rows)} training rows, ${source} counting as ${strength} of them (cross-validated log loss ${loss.fitted.toFixed(4)}, before ${loss.given.toFixed(4)})`,
  );
  const judge = strength === null ? null : judgeOf(tf, heldOut);
  if (judge !== null) {
    const { before, after, gain } = pairedGain(judge(given), judge(fitted.model));
    const words = { gain: 'a gain', 'no gain shown': 'no gain shown', worse: 'worse' }[verdictOf(gain)];
    const interval = `${gain.value.toFixed(4)}, 95 % interval ${gain.low.toFixed(4)} to ${gain.high.toFixed(4)}`;
    print(
      `on ${grouped(heldOut.rows)} held-out rows: AUC ${before.toFixed(4)} before, ${after.toFixed(4)} after: ${words} (${interval})`,
    );
  }
  print(
    'It was made of rows in the clear: keep it as you keep these. It was not charged, for nothing of it leaves this node.',
  );
}
