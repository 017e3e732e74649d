import { extname, resolve } from 'node:path';
import { stringify } from 'yaml';
import { dequantise } from '../../crypto/quantise.ts';
import { type Task, taskHashOf } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import { writeDurably } from '../config/files.ts';
import { readFeatureFile } from '../learning/feature-file.ts';
import { type FeatureSchema, levelName } from '../learning/schema.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { countedFeatures, restOf } from '../statistics/columns.ts';
import { type Figure, figuresOf, type Quantile, recordsOf } from '../statistics/figures.ts';
import { type KeptFile, keptFileOf } from '../statistics/kept-file.ts';
import { noiseOf } from '../statistics/make-statistics-task.ts';
import { type FiguresPlan, type PresencePlan, statisticsPlanOf } from '../statistics/plan.ts';
import { statisticsQuantiser } from '../statistics/quantiser.ts';
import { scaledFeatures } from '../statistics/scaled-features.ts';
import { keptOf, thresholdOf } from '../statistics/threshold.ts';
import { schemaHashOf } from '../training/learning-plan.ts';
import { CliError, usageError } from './exit.ts';
import { counted, grouped, table } from './output.ts';
import { readRecipientConfig } from './recipient-config.ts';
import { openedRound } from './result-fetch.ts';

export interface StatisticsWanted {
  readonly round: string;
  readonly features: string;
  readonly out: string;
  readonly task: string | null;
}

type Print = (line: string) => void;

/** What was opened, and what it is of. */
interface Opened {
  readonly task: Task;
  readonly schema: FeatureSchema;
  readonly sum: Int32Array;
  /** Standard deviation of a count's noise, in records. */
  readonly noise: number;
}

/** Names that a line of output has room for. */
const NAMES_SHOWN = 12;
const SHOWN_PERCENT = 100;

/** Writes what an opened round of statistics says, and prints its figures with their noise. */
export async function fetchStatistics(folder: string, wanted: StatisticsWanted, print: Print): Promise<void> {
  const { out } = wanted;
  const { round, integers: sum } = await openedRound(folder, wanted);
  const task = readRecipientConfig(folder).tasks.find(
    (own) => taskHashOf(nodePrimitives, own) === round.record.taskHash,
  );
  if (task === undefined)
    throw new CliError('UNKNOWN_TASK', `the task file of that round is not named in recipient.yaml of ${folder}`);
  const plan = statisticsPlanOf(task);
  if (plan === null)
    throw new CliError(
      'UNKNOWN_TASK',
      `round ${round.record.number} is of no statistics: 'veilsum result fetch' gives its sum`,
    );
  const schema = readFeatureFile(wanted.features, resolve);
  if (schemaHashOf(schema) !== plan.schema.hash)
    throw new CliError(
      'SCHEMA_MISMATCH',
      `the round was over another feature file than ${wanted.features}, or over another version of it`,
    );
  const nodes = round.decision.attempt.cohort.length;
  const opened = { task, schema, sum, noise: noiseOf(task, nodes) };
  print(
    `round ${round.record.number} of ${round.record.task}: the sum of ${counted(nodes, 'node')}, equal to the released hash`,
  );
  if (plan.step === 'presence') writeKept(opened, plan, round, out, print);
  else writeScaled(opened, plan, out, print);
}

function writeKept(
  { task, schema, sum, noise }: Opened,
  plan: PresencePlan,
  round: Round & { resultHash: string },
  out: string,
  print: Print,
): void {
  if (extname(out) !== '.json')
    throw usageError(`--out: of a first step the file ends in .json, not '${extname(out)}'`);
  const kept = keptOf(plan, sum, noise, task.scale);
  const presence = { taskHash: round.record.taskHash, roundId: round.id, resultHash: round.resultHash };
  const file: KeptFile = keptFileOf(plan, schema, kept, presence);
  print(
    table(
      ['column', 'candidates', 'passed', ''],
      file.columns.map(({ column, names }, i) => [column, plan.columns[i]!.candidates, names.length, shortened(names)]),
    ),
  );
  print(
    `passed: ${grouped(Math.ceil(thresholdOf(plan, noise)))} customers or more, at most ${grouped(plan.cap)} of one node counted, noise of standard deviation ${noise.toPrecision(3)} included`,
  );
  if (kept.every((own) => own.length === 0))
    throw new CliError(
      'NOTHING_PASSED',
      'nothing that several nodes have stands out of the noise: spend more epsilon, or count fewer columns',
    );
  writeDurably(out, `${JSON.stringify(file, null, 2)}\n`);
  print(`${out}: written, and public: the task of the second step names it ('veilsum statistics task --kept ${out}')`);
}

function shortened(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN;
  return `${names.slice(0, NAMES_SHOWN).join(', ')}${more > 0 ? `, and ${more} more` : ''}`;
}

function writeScaled({ task, schema, sum, noise }: Opened, plan: FiguresPlan, out: string, print: Print): void {
  const ending = extname(out);
  if (!['.json', '.yaml', '.yml'].includes(ending))
    throw usageError(`--out: the file ends in .yaml or .json, not '${ending}'`);
  const features = countedFeatures(schema);
  const values = dequantise(statisticsQuantiser(task, plan), sum);
  const found = figuresOf(plan, features, values, noise);
  const records = recordsOf(values, noise);
  print(`records: ${text(records)}; figures are written with the standard deviation of their noise`);
  const refused: string[] = [];
  for (const [i, figures] of found.entries()) {
    const feature = features[i]!;
    const where = `column "${feature.column}"`;
    if (plan.kept[i]!.length === 0) {
      const then = feature.kind === 'number' ? 'it stays scaled by its bounds' : 'the new file has no such column';
      refused.push(`NOTHING_PASSED: ${where}: no value of it passed; ${then}`);
    } else if (figures === null) {
      print(`${feature.column}: ${counted(plan.kept[i]!.length, 'bucket')} of ${plan.columns[i]!.candidates}`);
    } else if ('refused' in figures) {
      refused.push(`TOO_NOISY: ${where}: ${figures.refused}; it stays as it was scaled`);
    } else if ('mean' in figures) {
      const { count, mean, deviation, quantiles } = figures;
      print(
        `${feature.column}: ${text(count)} values, mean ${text(mean)}, deviation ${text(deviation)}${transformOf(feature)}`,
      );
      print(`  ${quantiles.map(quantileText).join(', ')}`);
    } else if (feature.kind === 'levels') {
      const rest = restOf(feature, plan.kept[i]!);
      const own = plan.kept[i]!.map((level, at) => {
        const name = `${levelName(feature.levels[level]!)}${at === rest ? ' and all others' : ''}`;
        return `${name} ${text(figures[at]!)}`;
      });
      print(`${feature.column}: ${own.join(', ')}`);
      if (own.length === 1)
        refused.push(
          `ONE_LEVEL: ${where}: one level passed, and all others are with it; the new file has no such column`,
        );
    }
  }
  for (const line of refused) print(line);
  const isKnown = found.some((figures, i) => plan.kept[i]!.length > 0 && (figures === null || !('refused' in figures)));
  if (!isKnown)
    throw new CliError(
      'TOO_NOISY',
      'no column is known well enough for its noise: spend more epsilon, or count fewer columns',
    );
  const completed = scaledFeatures(schema, plan, found);
  writeDurably(out, ending === '.json' ? `${JSON.stringify(completed, null, 2)}\n` : stringify(completed));
  print(`${out}: written, for every region and for 'veilsum task new --features ${out}'`);
}

function transformOf(feature: ReturnType<typeof countedFeatures>[number]): string {
  return feature.kind === 'number' && feature.transform !== 'identity' ? ` (of ${feature.transform})` : '';
}

/** A figure to the digits that its noise leaves, and the noise. */
function text({ value, noise }: Figure): string {
  const digits = noise > 0 ? Math.max(0, Math.min(12, 1 - Math.floor(Math.log10(noise)))) : 0;
  return `${value.toFixed(digits)} +- ${noise.toPrecision(2)}`;
}

function quantileText(quantile: Quantile): string {
  const { part, value, is } = quantile;
  const at = is === 'at' ? text(quantile) : `${is} ${Number(value.toPrecision(4))}`;
  return `${Number((part * SHOWN_PERCENT).toPrecision(3))} %: ${at}`;
}
