import { z } from 'zod';
import { parseInstant } from './instants.ts';

/**
 * How a record's columns come from an entity table (customers, leads: one row each, one record) and event tables (usage,
 * mails, orders). Part of the public feature file, so that every region computes the same thing.
 */
const label = z.string().min(1).max(128);
const days = z.int().min(1).max(3650);

/** Events that count: every named column holds one of the values (case and outer blanks do not matter). */
const whereField = z.record(label, z.array(z.string()).min(1).max(256));

const common = { name: label, events: label, days, where: whereField.default({}) };

const derivedColumn = z.discriminatedUnion('kind', [
  /** Events of the last `days` days. */
  z.strictObject({ kind: z.literal('count'), ...common }),
  /** The sum of a column over them: volume. */
  z.strictObject({ kind: z.literal('sum'), ...common, value: label }),
  /** Different values of a column among them: products in use, users. */
  z.strictObject({ kind: z.literal('distinct'), ...common, of: label }),
  /** Whole days since the last event, looking back `days` days; blank without one. */
  z.strictObject({ kind: z.literal('recency'), ...common }),
  /** Adoption velocity: values of a column seen for the first time in the last `days` days, per 30 days. */
  z.strictObject({ kind: z.literal('velocity'), ...common, of: label }),
  /** Volume growth in percent: the last `days` days against as many before; blank where those had none. */
  z.strictObject({ kind: z.literal('growth'), ...common, value: label.optional() }),
  /** Peak use: the largest share of the window's volume in one bucket of days, in (0, 1]; blank without volume. */
  z.strictObject({ kind: z.literal('peak'), ...common, value: label.optional(), bucketDays: days.default(1) }),
  /** Error or retry rate: the share of the events that also satisfy `hit`; blank without events. */
  z.strictObject({ kind: z.literal('rate'), ...common, hit: whereField }),
  /** Product adjacency: the share of `near`, the target's neighbours by public knowledge, that occurs in a column. */
  z.strictObject({ kind: z.literal('adjacency'), ...common, of: label, near: z.array(z.string()).min(1).max(256) }),
  /** Whole days since a date in the entity's own row, at most `days`; blank without one, or where it is after as-of. */
  z.strictObject({ kind: z.literal('since'), name: label, column: label, days }),
]);

export const derivationField = z.strictObject({
  /** The entity table. */
  table: label,
  /** Its column that tells entities apart; each value once. */
  key: label,
  /**
   * The moment that a record describes: nothing from then on is looked at. A column of the entity table, or one date
   * for all. Without this an outcome's own events would predict it.
   */
  asOf: z.union([
    z.strictObject({ column: label }),
    z.strictObject({
      date: z.string().refine((text) => !Number.isNaN(parseInstant(text)), 'must be an ISO 8601 date'),
    }),
  ]),
  /** Event tables: the column with the entity's key, and the one with the time. */
  events: z.record(label, z.strictObject({ key: label, time: label })).default({}),
  columns: z.array(derivedColumn).max(256).default([]),
});

export type Derivation = z.infer<typeof derivationField>;
export type DerivedColumn = Derivation['columns'][number];
export type EventColumn = Exclude<DerivedColumn, { kind: 'since' }>;

/** Columns of an event table that a derived column reads, beside key and time. */
export function eventInputs(column: EventColumn): string[] {
  const inputs = Object.keys(column.where);
  if ('value' in column && column.value !== undefined) inputs.push(column.value);
  if ('of' in column) inputs.push(column.of);
  if (column.kind === 'rate') inputs.push(...Object.keys(column.hit));
  return inputs;
}

/** Why a derivation cannot be meant; null where it can. */
export function derivationFault({ table, key, asOf, events, columns }: Derivation): string | null {
  if (Object.hasOwn(events, table)) return `"${table}" is the entity table and an event table`;
  const names = new Set([key, ...('column' in asOf ? [asOf.column] : [])]);
  for (const column of columns) {
    if (names.has(column.name)) return `column "${column.name}" is defined twice`;
    names.add(column.name);
    if (column.kind !== 'since' && !Object.hasOwn(events, column.events)) {
      return `column "${column.name}": there is no event table "${column.events}"`;
    }
  }
  return null;
}
