import { parseCsvText, readTableFile, type Table } from '../learning/table.ts';
import { decodeText, type Encoding } from './encoding.ts';
import type { RowSource } from './port.ts';

export interface CsvSettings {
  readonly path: string;
  /** One character; by default `;` when the header line has more of them than commas. */
  readonly delimiter?: string | undefined;
  readonly encoding: Encoding;
}

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
      yield { columns: [...table.columns.keys()], rows: rowsOf(table) };
    },
  };
}

function rowsOf({ columns, rowCount }: Table): string[][] {
  const all = [...columns.values()];
  return Array.from({ length: rowCount }, (_, row) => all.map((cells) => cells[row]!));
}
