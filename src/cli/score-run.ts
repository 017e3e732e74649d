import { extname, join } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { readFeatureFile } from '../learning/feature-file.ts';
import { loadTensorFlow } from '../learning/load-tensorflow.ts';
import { readCsv, type Table } from '../learning/table.ts';
import { COMMAND } from '../platform/command-name.ts';
import { type CalibrationBand, calibrate } from '../scoring/calibration.ts';
import { type RankingRequest, rankingCsv, rankingJson, rankingLines } from '../scoring/ranking.ts';
import { type ReadModel, readModel, readRows } from '../scoring/read-inputs.ts';
import { writeSample } from '../scoring/sample.ts';
import { type Scores, scoreTable } from '../scoring/scores.ts';
import { LEAST_MEMBERS } from '../scoring/summaries.ts';
import { usageError } from './exit.ts';
import { counted, grouped, printable } from './output.ts';

/** Flags of `score` and of `score serve`, as commander gives them. */
export interface ScoreFlags {
  readonly model?: string;
  readonly data?: string;
  readonly task?: string;
  readonly schema?: string;
  readonly words?: string;
  readonly outcomes?: string;
  readonly id?: string;
  readonly name?: string;
  readonly territory?: string;
  readonly group?: readonly string[];
  readonly least: number;
}

export interface RankFlags extends ScoreFlags {
  readonly top: number;
  readonly signals: number;
  readonly out?: string;
  readonly json?: boolean;
}

export interface Scored extends ReadModel {
  readonly table: Table;
  readonly scores: Scores;
  readonly calibration: readonly CalibrationBand[] | null;
}

/** A ranking names customers: it is its owner's. */
const PRIVATE = 0o600;

/** Reads and scores what the flags name. @param say - told of cells that the schema does not know. */
export async function scoreOf(flags: ScoreFlags, say: (line: string) => void): Promise<Scored> {
  const { model: modelFile, data, task, schema: schemaFile, words: wordsFile, outcomes, least } = flags;
  if (modelFile === undefined || data === undefined) throw usageError('--model and --data are needed');
  if (!(Number.isInteger(least) && least >= LEAST_MEMBERS))
    throw usageError(`--least: must be a whole number from ${LEAST_MEMBERS} on`);
  const given = [flags.id, flags.name, flags.territory, ...(flags.group ?? [])];
  const { table, schema: regionSchema } = await readRows(
    data,
    given.filter((name) => name !== undefined),
  );
  const own = schemaFile === undefined ? regionSchema : readFeatureFile(schemaFile, (path) => path);
  const read = readModel({ model: modelFile, task, schema: own, words: wordsFile });
  const { tf } = await loadTensorFlow();
  const columns = { id: flags.id ?? null, name: flags.name ?? null, territory: flags.territory ?? null };
  const scores = scoreTable({ tf, ...read, table, columns, least });
  for (const [column, cells] of scores.outside)
    say(
      `note: column "${printable(column)}" has ${counted(cells, 'cell')} that the schema does not know, counted as other`,
    );
  const calibration = outcomes === undefined ? null : calibrate(tf, read.model, read.schema, readCsv(outcomes), least);
  return { ...read, table, scores, calibration };
}

/** `veilsum score`. */
export async function rank(flags: RankFlags, print: (line: string) => void): Promise<void> {
  const { top, signals, out, json } = flags;
  if (!(Number.isInteger(top) && top >= 1)) throw usageError('--top: must be a whole number from 1 on');
  if (!(Number.isInteger(signals) && signals >= 1 && signals <= 50))
    throw usageError('--signals: must be a whole number from 1 to 50');
  const ending = out === undefined ? null : extname(out);
  if (ending !== null && ending !== '.csv' && ending !== '.json')
    throw usageError(`--out: the file ends in .csv or .json, not '${printable(ending)}'`);
  // Beside JSON, notes go to standard error.
  const note = json === true ? (line: string): void => void process.stderr.write(`${line}\n`) : print;
  const { scores, calibration, words, modelHash } = await scoreOf(flags, note);
  const request: RankingRequest = { scores, top, signals, outcome: words.outcome, modelHash, calibration };
  if (out !== undefined) {
    writeDurably(out, ending === '.csv' ? rankingCsv(request) : rankingJson(request), PRIVATE);
    note(
      `${out}: the first ${grouped(Math.min(top, scores.organisations.length))} of ${counted(scores.organisations.length, 'organisation')}`,
    );
  }
  if (json === true) print(rankingJson(request).trimEnd());
  else if (out === undefined) for (const line of rankingLines(request)) print(line);
}

/** `veilsum score sample`. */
export async function makeSample(folder: string, organisations: number, print: (line: string) => void): Promise<void> {
  const { tf } = await loadTensorFlow();
  const { data, outcomes, model } = writeSample(tf, folder, organisations);
  const inputs = `--model ${model} --schema synthetic --data ${data} --outcomes ${outcomes} --id id --name organisation --territory territory`;
  const tokens = join(folder, 'tokens.json');
  print(`${folder}: made-up organisations, rows with known outcome, and a model. Next:`);
  print(`  ${COMMAND} score ${inputs} --top 10`);
  print(`  ${COMMAND} score token new --tokens ${tokens} --name anna --territory emea`);
  print(`  ${COMMAND} score serve ${inputs} --group industry --group size --tokens ${tokens}`);
}
