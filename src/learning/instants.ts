import { LearningError } from './errors.ts';

/** Milliseconds of a day. */
export const DAY_MS = 86_400_000;

const ISO =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?\s?(Z|UTC|[+-]\d{2}(?::?\d{2})?)?)?$/;

/**
 * An instant from ISO 8601 as files, PostgreSQL and Salesforce write it; without a zone it is UTC. A date is its midnight.
 *
 * @returns milliseconds since 1970; NaN for anything else, say `03/04/2024`, which means two days.
 */
export function parseInstant(text: string): number {
  const match = ISO.exec(text.trim());
  if (match === null) return Number.NaN;
  const [, year, month, day, hour = '0', minute = '0', second = '0', fraction = '', zone = 'Z'] = match;
  const [y, m, d, h, min, s] = [year, month, day, hour, minute, second].map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const midnight = new Date(Date.UTC(y, m - 1, d));
  const isDay = midnight.getUTCMonth() === m - 1 && midnight.getUTCDate() === d && y >= 1900;
  if (!isDay || h > 23 || min > 59 || s > 59) return Number.NaN;
  const millis = Math.floor(Number(`0.${fraction || '0'}`) * 1000);
  return midnight.getTime() + ((h * 60 + min) * 60 + s) * 1000 + millis - offsetMs(zone);
}

function offsetMs(zone: string): number {
  const match = /^([+-])(\d{2}):?(\d{2})?$/.exec(zone);
  if (match === null) return 0;
  return (match[1] === '-' ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3] ?? 0)) * 60_000;
}

/** Clocks and zones differ: a date of tomorrow is not called one of the future. */
const TOLERANCE_MS = DAY_MS;

/**
 * The instants of a column.
 *
 * @param blank - what an empty cell means; without it an empty cell is an error.
 * @throws LearningError BAD_DATE, MISSING_VALUE; DATE_IN_FUTURE with the number of such cells.
 */
export function readInstants(where: string, cells: readonly string[], now: number, blank?: number): Float64Array {
  let ahead = 0;
  let first = 0;
  const instants = Float64Array.from(cells, (cell, row) => {
    if (cell.trim() === '') {
      if (blank !== undefined) return blank;
      throw new LearningError('MISSING_VALUE', `${where}, row ${row + 1}: no date`);
    }
    const instant = parseInstant(cell);
    if (Number.isNaN(instant)) {
      throw new LearningError(
        'BAD_DATE',
        `${where}, row ${row + 1}: not a date such as 2026-03-31 or 2026-03-31T10:00:00Z`,
      );
    }
    if (instant > now + TOLERANCE_MS && ahead++ === 0) first = row + 1;
    return instant;
  });
  if (ahead === 0) return instants;
  const rows = ahead === 1 ? `row ${first}` : `${ahead} rows, first row ${first}`;
  throw new LearningError('DATE_IN_FUTURE', `${where}, ${rows}: a date that is still to come`);
}
