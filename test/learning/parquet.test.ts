import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { parquetSource } from '../../src/connectors/parquet.ts';
import { readTable } from '../../src/connectors/port.ts';
import vectors from '../vectors/parquet-pyarrow.json' with { type: 'json' };

const folder = mkdtempSync(join(tmpdir(), 'veilsum-parquet-'));
afterAll(() => rmSync(folder, { recursive: true }));

function write(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const [header, ...rows] = vectors.rows as [string[], ...string[][]];
const file = (name: keyof typeof vectors.files) => Buffer.from(vectors.files[name], 'base64');
const read = (path: string) => readTable(parquetSource('usage', path), { columns: new Set(header), ownNames: {} });

it.each(['snappy', 'plain'] as const)(
  'cells of a file that pyarrow wrote (%s) are text as everywhere',
  async (name) => {
    const { table, found } = await read(write(name, file(name)));
    expect(found).toEqual(header);
    expect([...table.columns.values()]).toEqual(header.map((_, at) => rows.map((row) => row[at])));
  },
);

it('keeps only the columns that are asked for', async () => {
  const source = parquetSource('usage', write('part', file('snappy')));
  const { table } = await readTable(source, { columns: new Set(['volume']), ownNames: { volume: 'calls' } });
  expect([...table.columns]).toEqual([['volume', ['12', '', '9007199254740993']]]);
});

it.each([
  ['UNSUPPORTED_TYPE', 'compressed with ZSTD', () => write('zstd', file('zstd'))],
  ['UNSUPPORTED_TYPE', '"a" is nested', () => write('nested', file('nested'))],
  ['BAD_ANSWER', 'not a whole Parquet file', () => write('cut', file('snappy').subarray(0, 700))],
  ['BAD_ANSWER', 'not a whole Parquet file', () => write('text', Buffer.from('a,b\n1,2\n'))],
  ['SOURCE_NOT_FOUND', 'no readable file', () => join(folder, 'nothing')],
])('refuses with %s: %s', async (code, why, path) => {
  await expect(read(path())).rejects.toMatchObject({ code, message: expect.stringContaining(why) });
});
