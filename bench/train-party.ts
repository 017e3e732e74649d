import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Task } from '../protocols/task.ts';
import { datasetSchema, encodeRegion, loadDataset, type RegionTables } from '../src/learning/datasets.ts';
import { loadTensorFlow } from '../src/learning/load-tensorflow.ts';
import { localDelta } from '../src/learning/local-steps.ts';
import { type FeatureSchema, parseSchema } from '../src/learning/schema.ts';
import type { UpdateSource } from '../src/party/node.ts';
import { systemRng } from '../src/platform/rng.ts';
import { parseLearningPlan } from '../src/training/learning-plan.ts';
import { readModel } from '../src/training/local-layers.ts';
import { createNodeSource } from '../src/training/node-source.ts';
import { stopwatch } from './stopwatch.ts';

/** Of the generated tables: 8,300 rows to train on in the largest region; those of the published bank table have 9,000 on average. */
const SIZE = 4;
/** Steps of a value in a plain update: floats would not add up to the same sum in any order. */
const STEPS = 2 ** 20;

/** The conversations' schema with as many buckets of text as a schema may have: 4,122 inputs. */
export function wideSchema(): FeatureSchema {
  const { features, ...rest } = datasetSchema('conversations');
  const wide = features.map((feature) => (feature.kind === 'text' ? { ...feature, buckets: 4096 } : feature));
  return parseSchema({ ...rest, name: 'conversations-wide', features: wide });
}

export function tablesOf(node: number): RegionTables {
  const { regions } = loadDataset('conversations', { seed: 1, size: SIZE });
  return regions[node]!;
}

/** How a node of `bench train` comes to its update, on either path. */
interface Training {
  /** As the product does it: local steps, then clip, rounding and noise. Its model is left for `plain`. */
  readonly sealed: UpdateSource['update'];
  /** Local steps alone, from the model that the same node had in the other federation's round of this number. */
  plain(round: number): Int32Array;
}

interface Told {
  /** Folder where nodes that encrypt leave the model that they train, for those that do not. */
  readonly models: string;
  readonly tellPart: (part: string, ms: number) => void;
}

/**
 * Both tell what processor time they took: `train` for the local steps, and beside it `read` for reading the model and `noise` for
 * clip, rounding and noise, or `round` for the baseline's rounding.
 *
 * @param name - `node-1` and so on.
 */
export async function trainingOf(task: Task, name: string, { models, tellPart }: Told): Promise<Training> {
  const { tf } = await loadTensorFlow();
  const tables = tablesOf(Number(name.split('-')[1]) - 1);
  const schema = wideSchema();
  const plan = parseLearningPlan(task);
  if (plan.unit !== 'node') throw new Error('local steps are for tasks that protect nodes');
  const { steps, batch, learningRateMicro } = plan.local;
  const { train } = encodeRegion(tables, schema);
  const modelFile = (round: number): string => join(models, `${name}-${round}`);
  const lap = stopwatch(tellPart);
  // A source asks for 16 bytes, the seed of its batches, just before it trains, and for 32 of the rounding's seed just after it.
  let begun: 'read' | 'train' | 'noise' = 'noise';
  const rng = (bytes: number): Uint8Array => {
    if (begun !== 'noise') {
      lap(begun);
      begun = begun === 'read' ? 'train' : 'noise';
    }
    return systemRng(bytes);
  };
  const source = createNodeSource({ tf, tables, tasks: [task], schemas: [schema], rng });
  return {
    sealed: async (of, round, model) => {
      writeFileSync(modelFile(round.record.number), model);
      lap(null);
      begun = 'read';
      const values = await source.update(of, round, model);
      lap('noise');
      return values;
    },
    plain: (round) => {
      lap(null);
      const model = readModel(plan, readFileSync(modelFile(round)));
      lap('read');
      const settings = { steps, batch, learningRate: learningRateMicro / 1e6, seed: `${name} ${round}` };
      const delta = localDelta(tf, model, train, settings);
      lap('train');
      const values = new Int32Array(delta.length);
      for (let i = 0; i < values.length; i++) values[i] = Math.round(delta[i]! * STEPS);
      lap('round');
      return values;
    },
  };
}
