import type { Task } from '../protocols/task.ts';
import { datasetSchema, encodeRegion, loadDataset, type RegionTables } from '../src/learning/datasets.ts';
import { loadTensorFlow } from '../src/learning/load-tensorflow.ts';
import { localDelta } from '../src/learning/local-steps.ts';
import { initialModel } from '../src/learning/model.ts';
import { type FeatureSchema, parseSchema } from '../src/learning/schema.ts';
import { parseLearningPlan, specOf } from '../src/training/learning-plan.ts';
import { createNodeSource, type NodeSource } from '../src/training/node-source.ts';

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
  /** As the product does it: local steps, then clip, rounding and noise. */
  readonly sealed: NodeSource;
  /** Local steps alone, always from the first model: models have no way back in the baseline. */
  plain(): Int32Array;
}

/** @param name - `node-1` and so on. */
export async function trainingOf(task: Task, name: string): Promise<Training> {
  const { tf } = await loadTensorFlow();
  const tables = tablesOf(Number(name.split('-')[1]) - 1);
  const schema = wideSchema();
  const plan = parseLearningPlan(task);
  if (plan.unit !== 'node') throw new Error('local steps are for tasks that protect nodes');
  const { steps, batch, learningRateMicro } = plan.local;
  const { train } = encodeRegion(tables, schema);
  const model = initialModel(specOf(plan), 1);
  let round = 0;
  return {
    sealed: createNodeSource({ tf, tables, tasks: [task], schemas: [schema] }),
    plain: () => {
      const settings = { steps, batch, learningRate: learningRateMicro / 1e6, seed: `${name} ${++round}` };
      return Int32Array.from(localDelta(tf, model, train, settings), (value) => Math.round(value * STEPS));
    },
  };
}
