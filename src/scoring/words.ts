import { z } from 'zod';
import { ConfigError } from '../config/errors.ts';
import { validate } from '../config/files.ts';
import { type FeatureSchema, levelName, normaliseCell } from '../learning/schema.ts';
import { ScoringError } from './errors.ts';
import accountsWords from './words/accounts.json' with { type: 'json' };
import bankWords from './words/bank.json' with { type: 'json' };
import churnWords from './words/churn.json' with { type: 'json' };
import clvWords from './words/clv.json' with { type: 'json' };
import crmWords from './words/crm.json' with { type: 'json' };
import leadsWords from './words/leads.json' with { type: 'json' };
import syntheticWords from './words/synthetic.json' with { type: 'json' };
import telcoWords from './words/telco.json' with { type: 'json' };

/**
 * How a schema's columns are said to a seller. No part of the schema: what regions agree on, and the hash that tasks
 * name, must not change when somebody words a phrase better or in another language.
 */
const wordsField = z.strictObject({
  /** Name of the schema. */
  schema: z.string().min(1),
  /** What the positive label is, to go after "chance of": `becoming a customer`. */
  outcome: z.string().min(1).max(80),
  /**
   * By column: a phrase in which `{}` is the cell (of a text nothing is shown) and `[day|days]` its first form where the cell is 1;
   * or one phrase per level; or null for a column that is summed up under "other signals" and not named to sellers.
   */
  phrases: z.record(z.string(), z.union([z.null(), z.string().max(120), z.record(z.string(), z.string().max(120))])),
});

export type Words = z.infer<typeof wordsField>;

const BUNDLED: readonly unknown[] = [
  ...[syntheticWords, accountsWords, leadsWords, bankWords, churnWords, telcoWords, clvWords, crmWords],
];

/** Longest cell in a phrase. */
const CELL_MAX = 60;

/** @throws ScoringError BAD_WORDS, naming what is wrong or which column the schema does not have. */
export function parseWords(json: unknown, schema: FeatureSchema, what = 'the words'): Words {
  let words: Words;
  try {
    words = validate(wordsField, json, what);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ScoringError('BAD_WORDS', error.message, { cause: error });
  }
  if (words.schema !== schema.name)
    throw new ScoringError('BAD_WORDS', `${what} are for schema ${words.schema}, the model's is ${schema.name}`);
  const columns = new Set(schema.features.map((feature) => feature.column));
  for (const [column, phrase] of Object.entries(words.phrases)) {
    if (!columns.has(column))
      throw new ScoringError('BAD_WORDS', `${what}: schema ${schema.name} has no column "${column}"`);
    if (holdsText(schema, column) && phrase !== null && (typeof phrase === 'object' || phrase.includes('{}')))
      throw new ScoringError(
        'BAD_WORDS',
        `${what}: "${column}" is a text, of which no word may be shown: leave {} out`,
      );
  }
  return words;
}

/** The words that come with a schema of ours; for any other the columns' own names. */
export function wordsFor(schema: FeatureSchema): Words {
  const bundled = BUNDLED.find((words) => (words as Words).schema === schema.name);
  if (bundled !== undefined) return parseWords(bundled, schema);
  const [positive] = schema.label.positive;
  return { schema: schema.name, outcome: `${schema.label.column} = ${positive}`, phrases: {} };
}

/** Whether a column is text that people wrote: what it says stays where it is. */
function holdsText(schema: FeatureSchema, column: string): boolean {
  return schema.features.some((feature) => feature.column === column && feature.kind === 'text');
}

/** The first form of each `[one|many]` where the number is 1, else the second. */
function inNumber(phrase: string, value: number): string {
  return phrase.replaceAll(/\[([^[\]|]*)\|([^[\]|]*)\]/g, (_, one: string, many: string) => (value === 1 ? one : many));
}

/** A number with many decimals in three significant digits, whole from a hundred on: what was computed is not read to the millionth. */
function shortNumber(cell: string): string {
  if (!/^-?[0-9]+\.[0-9]{3,}$/.test(cell)) return cell;
  const value = Number(cell);
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

/** Says cells of one column, texts without any of their words. Null: the column is not named to sellers. */
export function phraser(words: Words, schema: FeatureSchema, column: string): ((cell: string) => string) | null {
  const phrase = Object.hasOwn(words.phrases, column) ? words.phrases[column]! : undefined;
  if (phrase === null) return null;
  if (holdsText(schema, column)) return () => (typeof phrase === 'string' ? phrase : `what "${column}" says`);
  const features = schema.features.filter((feature) => feature.column === column);
  const missing = new Set(features.flatMap((feature) => ('missingCells' in feature ? feature.missingCells : [])));
  // A level may be spelt in several ways; what is said is its name.
  const levels = new Map<string, string>();
  for (const feature of features) {
    if (feature.kind !== 'levels') continue;
    for (const entry of feature.levels)
      for (const spelling of [entry].flat()) levels.set(normaliseCell(spelling), levelName(entry));
  }
  return (cell) => {
    const said = levels.get(normaliseCell(cell)) ?? cell.trim();
    const short = said.length > CELL_MAX ? `${said.slice(0, CELL_MAX - 1)}\u2026` : shortNumber(said);
    if (typeof phrase === 'object') {
      const named = Object.entries(phrase).find(([level]) => normaliseCell(level) === normaliseCell(said));
      return named?.[1] ?? `${column}: ${short === '' ? 'not stated' : short}`;
    }
    if (short === '' || missing.has(short)) return `${column}: not stated`;
    return (phrase === undefined ? `${column}: {}` : inNumber(phrase, Number(said))).replace('{}', () => short);
  };
}
