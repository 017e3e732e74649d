import { basename } from 'node:path';
import { toHex } from '../../crypto/encoding.ts';
import { type Task, taskField } from '../../protocols/task.ts';
import { ConfigError } from '../config/errors.ts';
import { readRequired, readValidated } from '../config/files.ts';
import { readRegionConfig, readRegionTables } from '../connectors/read-region.ts';
import { LearningError } from '../learning/errors.ts';
import { designColumns } from '../learning/features.ts';
import type { Model, ModelSpec } from '../learning/model.ts';
import { buildRows } from '../learning/region-rows.ts';
import { decodeSafetensors, modelFromTensors, type NamedTensor } from '../learning/safetensors.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import { readCsv, type Table } from '../learning/table.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { parseLearningPlan, specOf } from '../training/learning-plan.ts';
import { findSchema } from '../training/node-source.ts';
import { ScoringError } from './errors.ts';
import { parseWords, type Words, wordsFor } from './words.ts';

/** What says what a model means. At least one of task and schema. */
export interface ModelFiles {
  /** safetensors, as the recipient makes it and nodes are given it. */
  readonly model: string;
  /** The task that it was trained in: names kind, width and the schema by hash. */
  readonly task?: string | undefined;
  /** Null where the task names one that comes with the product. */
  readonly schema: FeatureSchema | null;
  readonly words?: string | undefined;
}

export interface ReadModel {
  readonly model: Model;
  readonly schema: FeatureSchema;
  readonly words: Words;
  /** SHA-256 of the file, hex: what the log calls the model. */
  readonly modelHash: string;
}

/**
 * Reads a model with the public schema that it was trained under, and the words for sellers.
 *
 * @throws ConfigError, LearningError, TrainingError or ScoringError, naming the file and what to do.
 */
export function readModel(files: ModelFiles): ReadModel {
  const own = files.schema;
  const task = files.task === undefined ? null : readValidated(files.task, 'the task file', taskField);
  if (own === null && task === null)
    throw new ScoringError(
      'BAD_SETTING',
      'which schema? Give --task, the task that the model was trained in, or --schema: a feature file, or the name of a dataset',
    );
  const bytes = readRequired(files.model, 'the model');
  const tensors = inFile(files.model, () => decodeSafetensors(bytes));
  const { schema, spec } = task === null ? ofTensors(own!, tensors) : ofTask(task, own);
  requireHead(task, files.model, tensors);
  const model = inFile(files.model, () => modelFromTensors(spec, tensors));
  const words = files.words === undefined ? wordsFor(schema) : parseWords(readJson(files.words), schema, files.words);
  return { model, schema, words, modelHash: toHex(nodePrimitives.sha256(new Uint8Array(bytes))) };
}

function ofTask(task: Task, own: FeatureSchema | null): { schema: FeatureSchema; spec: ModelSpec } {
  const plan = parseLearningPlan(task);
  return { schema: findSchema(plan, own === null ? [] : [own]), spec: specOf(plan) };
}

/** A common model without the layers that stay on the nodes scores nothing. @throws ScoringError NO_HEAD */
function requireHead(task: Task | null, file: string, tensors: readonly NamedTensor[]): void {
  const local = task === null ? [] : (parseLearningPlan(task).localLayers ?? []);
  if (local.every((name) => tensors.some((tensor) => tensor.name === name))) return;
  throw new ScoringError(
    'NO_HEAD',
    `${basename(file)} lacks ${local.join(', ')}, which each node keeps to itself: 'veilsum model personalise' on the node puts both together`,
  );
}

/** Without a task the tensors say the kind; their shapes have to be the schema's. */
function ofTensors(schema: FeatureSchema, tensors: readonly NamedTensor[]): { schema: FeatureSchema; spec: ModelSpec } {
  const inputs = designColumns(schema).length;
  const first = tensors.find(({ name }) => name === 'hidden.weight');
  const hidden = first?.shape[1];
  const given = (first ?? tensors.find(({ name }) => name === 'output.weight'))?.shape[0];
  if (given === undefined)
    throw new LearningError(
      'BAD_MODEL',
      `the model has no layer output.weight: it holds ${tensors.map(({ name }) => name).join(', ')}`,
    );
  if (given !== inputs)
    throw new ScoringError(
      'SCHEMA_MISMATCH',
      `the model takes ${given} inputs, schema ${schema.name} makes ${inputs}: it was trained under another schema`,
    );
  return { schema, spec: hidden === undefined ? { kind: 'logistic', inputs } : { kind: 'mlp', inputs, hidden } };
}

function readJson(path: string): unknown {
  const bytes = readRequired(path, 'the file with words');
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw new ConfigError('INVALID', `${path} is not JSON`, { cause });
  }
}

/** What is wrong with a file, with its name. */
function inFile<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof LearningError)) throw error;
    throw new LearningError(error.code, `${basename(path)}: ${error.message}`, { cause: error });
  }
}

/** Rows to score, and the schema of the settings that said where they are. */
export interface ReadRows {
  readonly table: Table;
  readonly schema: FeatureSchema | null;
}

/**
 * Reads organisations from a CSV file, or from where a region's settings (.yaml, as of `veilsum node train`) say: any
 * source, with the features derived as in training. No label is read.
 *
 * @param columns - kept beside those of the schema: ids, names, groups.
 * @throws LearningError, ConnectorError, ConfigError in the terms of the table.
 */
export async function readRows(path: string, columns: readonly string[]): Promise<ReadRows> {
  if (!/\.ya?ml$/.test(path)) return { table: readCsv(path), schema: null };
  const region = readRegionConfig(path);
  const { name, config, schema } = region;
  const read = await readRegionTables(region, false, columns);
  const tables = new Map([...read].map(([key, value]) => [key, value.table]));
  const { whole } = buildRows({ name, schema, tables, leakage: config.leakage, now: Date.now() });
  return { table: whole, schema };
}
