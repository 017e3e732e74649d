import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Task } from '../../protocols/task.ts';
import { type ReadTable, type Region, readRegionConfig, readRegionTables } from '../connectors/read-region.ts';
import { encodeRegion, type RegionTables } from '../learning/datasets.ts';
import { designColumns } from '../learning/features.ts';
import { buildRows, type RegionRows, splitRecords } from '../learning/region-rows.ts';
import type { FeatureSchema } from '../learning/schema.ts';
import { requireUsable, type Survey, surveyTable } from '../learning/survey.ts';
import type { EngineChoice } from '../party/engines.ts';
import { readNodeConfig } from '../party/node-config.ts';
import { requireCountable } from '../statistics/node-statistics.ts';
import { isStatistics } from '../statistics/plan.ts';
import { parseLearningPlan } from '../training/learning-plan.ts';
import { rowsForPlan } from '../training/node-source.ts';
import { CliError, codeOf } from './exit.ts';
import { type StartedNode, type TrainingRows, trainOn } from './node-start.ts';
import { counted, grouped, table } from './output.ts';
import { requireRole } from './settings.ts';

interface RegionRecords {
  readonly region: Region;
  readonly read: ReadonlyMap<string, ReadTable>;
  readonly rows: RegionRows;
}

async function readRecords(region: Region): Promise<RegionRecords> {
  const { name, config, schema } = region;
  const read = await readRegionTables(region);
  const tables = new Map([...read].map(([key, value]) => [key, value.table]));
  const rows = buildRows({ name, schema, tables, leakage: config.leakage, now: Date.now() });
  return { region, read, rows };
}

/**
 * Reads a region's tables once, then takes part in every round that opens. A running node does not read them again: the
 * rounds of one data window are over the same rows.
 *
 * @throws ConnectorError, LearningError and TrainingError before anything is connected to the federation.
 */
export async function startTraining(path: string, engine: EngineChoice | null, listen?: string): Promise<StartedNode> {
  const region = readRegionConfig(resolve(path));
  const folder = region.resolve(region.config.node);
  await requireRole(folder, 'node');
  const { tasks } = readNodeConfig(folder);
  return trainOn(folder, await readTrainingRows(region, tasks), engine, listen);
}

/** A region's records, as training for some tasks takes them. @throws ConnectorError, LearningError */
export async function readTrainingRows(region: Region, tasks: readonly Task[]): Promise<TrainingRows> {
  const { rows } = await readRecords(region);
  requireUsable(rows.whole, region.schema, tasks.some(takesUnlabelled));
  return { tables: splitRecords(region.name, rows, region.schema), schemas: [region.schema] };
}

/**
 * Reads and validates all that training would, prints counts and sends nothing. Needs no keys and no federation.
 *
 * @throws CliError with the first problem's code, after all of them are printed.
 */
export async function checkRegion(path: string, print: (line: string) => void): Promise<void> {
  const region = readRegionConfig(resolve(path));
  const { config, schema } = region;
  print(`region ${region.name}: feature file ${schema.name}, ${designColumns(schema).length} columns of the model`);
  const { read, rows } = await readRecords(region);
  for (const line of inputLines(read, rows)) print(line);
  const folder = region.resolve(config.node);
  const isNode = existsSync(join(folder, 'node.yaml'));
  const tasks = isNode ? readNodeConfig(folder).tasks : [];
  const survey = surveyTable(rows.whole, schema, tasks.some(takesUnlabelled));
  for (const line of surveyLines(survey)) print(line);
  const problems: Error[] = [...survey.problems];
  const tables = splitRecords(region.name, rows, schema);
  if (problems.length === 0) {
    if (!isNode) print(`no task was compared: ${folder} has no node.yaml`);
    const checks = tasks
      .filter(({ learning }) => learning !== null)
      .map((task) => () => {
        if (isStatistics(task)) requireCountable(task, { tables, schemas: [schema] });
        else rowsForPlan(tables, parseLearningPlan(task), [schema]);
        print(`task ${task.task}, window ${task.window}: the feature file and the rows fit it`);
      });
    problems.push(...failures(checks.length > 0 ? checks : [() => encodeRegion(tables, schema)]));
    if (problems.length === 0) for (const line of partsLines(tables, schema)) print(line);
  }
  for (const problem of problems) print(`${codeOf(problem)}: ${problem.message}`);
  if (problems.length > 0) {
    const many = problems.length === 1 ? 'one problem' : `${problems.length} problems`;
    throw new CliError(codeOf(problems[0]), `${many}: training would not begin. Nothing was sent`);
  }
  print('The table fits. Nothing was sent.');
}

/** Whether a task takes rows with a blank label. */
function takesUnlabelled(task: Task): boolean {
  return task.learning !== null && !isStatistics(task) && parseLearningPlan(task).pseudo !== undefined;
}

function failures(checks: readonly (() => unknown)[]): Error[] {
  return checks.flatMap((check) => {
    try {
      check();
      return [];
    } catch (error) {
      return [error as Error];
    }
  });
}

function inputLines(read: ReadonlyMap<string, ReadTable>, { suppressed, derived }: RegionRows): string[] {
  const tables = [...read].map(([name, { table: rows, from, columnsFound }]) => {
    return [name, from, rows.rowCount, `${rows.columns.size} of ${columnsFound}`];
  });
  const lines = ['', table(['table', 'from', 'rows', 'columns kept'], tables)];
  for (const [name, { unmatched, later }] of derived?.events ?? []) {
    lines.push(
      `events ${name}: ${grouped(unmatched)} of no record, ${grouped(later)} at or after as-of; neither is used`,
    );
  }
  if ((derived?.later ?? 0) > 0) lines.push(`dates after as-of: ${counted(derived!.later, 'cell')}, blank`);
  for (const [entry, cells] of suppressed) lines.push(`rare values of ${entry}: ${counted(cells, 'cell')}, blank`);
  return lines;
}

function surveyLines({ rows, positive, negative, features }: Survey): string[] {
  const cells = features.map(({ column, kind, missing, outside }) => [column, kind, missing, outside]);
  return [
    '',
    table(['feature', 'kind', 'blank', 'outside'], cells),
    `outside: levels in no vocabulary, numbers beyond the public limit (clipped to it)`,
    '',
    `records: ${grouped(rows)}, ${grouped(positive)} positive, ${grouped(negative)} negative${unlabelledWords(rows - positive - negative)}`,
  ];
}

function unlabelledWords(rows: number): string {
  return rows === 0 ? '' : `, ${grouped(rows)} with neither label`;
}

/** Below so many training records a region is warned: a value that one of them has is a good part of what it sends. */
const FEW_RECORDS = 20;

function partsLines({ train, heldOut }: RegionTables, { suppress }: FeatureSchema): string[] {
  const { rowCount } = train;
  const parts = `${counted(rowCount, 'record')} to train on, ${grouped(heldOut.rowCount)} held out for evaluation`;
  if (rowCount >= FEW_RECORDS) return [parts];
  const rare = suppress === undefined ? "no rare value is blanked ('suppress' in the feature file), and the" : 'the';
  return [parts, `WARNING: so few records say little, and ${rare} noise of the sums is all that hides one of them`];
}
