import { DAY_MS } from '../learning/instants.ts';
import { ConnectorError } from './errors.ts';
import type { Cell, RowSource } from './port.ts';

/** Rows that are decoded at a time. */
const BATCH_ROWS = 10_000;

/**
 * A Parquet file, uncompressed or with Snappy, flat columns only. Dates and timestamps become ISO 8601 text in UTC.
 *
 * @throws (while reading) ConnectorError SOURCE_NOT_FOUND, BAD_ANSWER, UNSUPPORTED_TYPE.
 */
export function parquetSource(name: string, path: string): RowSource {
  return {
    name,
    batches: async function* () {
      const { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } = await import('hyparquet');
      const file = await asyncBufferFromFile(path).catch(() => {
        throw new ConnectorError('SOURCE_NOT_FOUND', `${name}: there is no readable file ${path}`);
      });
      const metadata = await parquetMetadataAsync(file).catch(() => {
        throw new ConnectorError('BAD_ANSWER', `${name}: ${path} is not a whole Parquet file`);
      });
      // The tree of the schema, depth first: flat when everything but its root is a leaf.
      const [root, ...elements] = metadata.schema;
      const columns = elements.map((element) => element.name);
      const nested = elements.find(
        ({ num_children, repetition_type }) => (num_children ?? 0) > 0 || repetition_type === 'REPEATED',
      );
      if (root === undefined || nested !== undefined) {
        const which = nested === undefined ? '' : ` "${nested.name}"`;
        throw new ConnectorError('UNSUPPORTED_TYPE', `${name}: the column${which} is nested; write flat columns`);
      }
      for (let at = 0, total = Number(metadata.num_rows); at === 0 || at < total; at += BATCH_ROWS) {
        const parsers = { dateFromDays: (days: number) => new Date(days * DAY_MS).toISOString().slice(0, 10) };
        const range = { rowStart: at, rowEnd: Math.min(total, at + BATCH_ROWS) };
        // The library's own message may quote what it read.
        const objects = await parquetReadObjects({ file, metadata, parsers, ...range }).catch((error: unknown) => {
          const codec = /unsupported compression codec: (\w+)/.exec(String(error))?.[1];
          const why =
            codec === undefined ? 'its pages cannot be decoded' : `compressed with ${codec}; write it with Snappy`;
          throw new ConnectorError(codec === undefined ? 'BAD_ANSWER' : 'UNSUPPORTED_TYPE', `${name}: ${why}`);
        });
        yield { columns, rows: objects.map((row) => columns.map((column) => row[column] as Cell)) };
      }
    },
  };
}
