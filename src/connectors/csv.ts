import { parseCsvText, readTableFile } from '../learning/table.ts';
import { decodeText, type Encoding } from './encoding.ts';
import type { RowSource } from './port.ts';

export interface CsvSettings {
  readonly path: string;
  /** One character; by default `;` when the header line has more of them than commas. */
  readonly delimiter?: string | undefined;
  readonly encoding: Encoding;
}

/** Rows that are handed on at a time. */
const BATCH_ROWS = 10_000;

/**
 * A CSV file with a header line (RFC 4180), `.gz` unpacked in memory.
 *
 * @throws (while reading) ConnectorError BAD_ENCODING; LearningError DATA_NOT_FOUND, TOO_LARGE, BAD_TABLE.
 */
export function csvSource(name: string, { path, delimiter, encoding }: CsvSettings): RowSource {
  return {
    name,
    batches: async function* () {
      const text = decodeText(name, readTableFile(path), encoding);
      const table = parseCsvText(name, text, delimiter);
      const all = [...table.columns.values()];
      const columns = [...table.columns.keys()];
      for (let at = 0; at === 0 || at < table.rowCount; at += BATCH_ROWS) {
        const length = Math.min(BATCH_ROWS, table.rowCount - at);
        yield { columns, rows: Array.from({ length }, (_, row) => all.map((cells) => cells[at + row]!)) };
      }
    },
  };
}
