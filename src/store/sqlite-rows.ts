import { createHash } from 'node:crypto';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { StoreError } from './errors.ts';
import type { StoredRow, Transaction } from './port.ts';

/** Largest name of a table, stream or key. */
const MAX_NAME = 512;

function requireName(name: string): string {
  if (name.length === 0 || name.length > MAX_NAME || name.includes('\0') || !name.isWellFormed()) {
    throw new StoreError('TOO_LARGE', 'a name has 1 to 512 characters, without NUL');
  }
  return name;
}

/** SHA-256(kind || 0 || table or stream || 0 || key or position || 0 || value): a row found elsewhere is no row. */
function rowDigest(kind: 'record' | 'entry', home: string, key: string | number, value: Uint8Array): Uint8Array {
  return createHash('sha256').update(`${kind}\0${home}\0${key}\0`).update(value).digest();
}

interface Row {
  readonly key: string | number;
  readonly value: Uint8Array;
  readonly digest: Uint8Array;
}

function verified(kind: 'record' | 'entry', home: string, row: Row): Uint8Array {
  const intact = row.value instanceof Uint8Array && row.digest instanceof Uint8Array;
  if (!intact || Buffer.compare(rowDigest(kind, home, row.key, row.value), row.digest) !== 0) {
    throw new StoreError('CORRUPT', 'a stored row has changed');
  }
  return row.value;
}

/** The queries, over one connection. Synchronous: each takes microseconds. */
export class SqliteReader {
  readonly #get: StatementSync;
  readonly #list: StatementSync;
  readonly #length: StatementSync;
  readonly #read: StatementSync;

  constructor(database: DatabaseSync) {
    this.#get = database.prepare('SELECT key, value, digest FROM record WHERE tab = ? AND key = ?');
    // BINARY collation compares UTF-8 bytes; a prefix range is found by comparing the start of each key from there on.
    this.#list = database.prepare(
      'SELECT key, value, digest FROM record WHERE tab = ?1 AND key >= ?2 AND substr(key, 1, length(?2)) = ?2 ORDER BY key',
    );
    this.#length = database.prepare('SELECT ifnull(max(position) + 1, 0) AS length FROM entry WHERE stream = ?');
    this.#read = database.prepare(
      'SELECT position AS key, value, digest FROM entry WHERE stream = ? AND position >= ? AND position < ? ORDER BY position',
    );
  }

  get(table: string, key: string): Uint8Array | undefined {
    const row = this.#get.get(requireName(table), requireName(key)) as Row | undefined;
    return row === undefined ? undefined : verified('record', table, row);
  }

  list(table: string, prefix: string): readonly StoredRow[] {
    const rows = this.#list.all(requireName(table), prefix) as unknown as Row[];
    return rows.map((row) => ({ key: String(row.key), value: verified('record', table, row) }));
  }

  streamLength(stream: string): number {
    return (this.#length.get(requireName(stream)) as { length: number }).length;
  }

  readStream(stream: string, from: number, to: number): readonly Uint8Array[] {
    const length = this.streamLength(stream);
    const rows = this.#read.all(stream, from, to) as unknown as Row[];
    // Positions run from 0 without gaps, or rows are missing.
    if (rows.length !== Math.max(0, Math.min(to, length) - Math.max(from, 0))) {
      throw new StoreError('CORRUPT', 'a stream with gaps');
    }
    return rows.map((row) => verified('entry', stream, row));
  }
}

/**
 * Reads every row once. A damaged table or key name would otherwise make its row one that nobody asks for.
 *
 * @throws StoreError CORRUPT
 */
export function verifyRows(database: DatabaseSync): void {
  for (const row of database.prepare('SELECT tab AS home, key, value, digest FROM record').iterate()) {
    verified('record', String(row['home']), row as unknown as Row);
  }
  const entries = database.prepare('SELECT stream AS home, position AS key, value, digest FROM entry ORDER BY 1, 2');
  let [stream, next] = ['', 0];
  for (const row of entries.iterate()) {
    if (row['home'] !== stream) [stream, next] = [String(row['home']), 0];
    if (row['key'] !== next++) throw new StoreError('CORRUPT', 'a stream with gaps');
    verified('entry', stream, row as unknown as Row);
  }
}

/** The statements that change something, over the writing connection. */
export class SqliteWriter extends SqliteReader {
  readonly #put: StatementSync;
  readonly #delete: StatementSync;
  readonly #append: StatementSync;

  constructor(database: DatabaseSync) {
    super(database);
    this.#put = database.prepare(
      'INSERT INTO record VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET value = ?3, digest = ?4',
    );
    this.#delete = database.prepare('DELETE FROM record WHERE tab = ? AND key = ?');
    this.#append = database.prepare('INSERT INTO entry VALUES (?, ?, ?, ?)');
  }

  put(table: string, key: string, value: Uint8Array): void {
    this.#put.run(table, key, value, rowDigest('record', requireName(table), requireName(key), value));
  }

  delete(table: string, key: string): boolean {
    return this.#delete.run(requireName(table), requireName(key)).changes > 0;
  }

  append(stream: string, value: Uint8Array): number {
    const position = this.streamLength(stream);
    this.#append.run(stream, position, value, rowDigest('entry', stream, position, value));
    return position;
  }
}

/** One transaction's view. The store begins and commits; `end` makes later use an error instead of a stray write. */
export class SqliteTransaction implements Transaction {
  readonly #writer: SqliteWriter;
  #ended = false;

  constructor(writer: SqliteWriter) {
    this.#writer = writer;
  }

  end(): void {
    this.#ended = true;
  }

  async get(table: string, key: string): Promise<Uint8Array | undefined> {
    return this.#live().get(table, key);
  }

  async list(table: string, prefix = ''): Promise<readonly StoredRow[]> {
    return this.#live().list(table, prefix);
  }

  async streamLength(stream: string): Promise<number> {
    return this.#live().streamLength(stream);
  }

  async readStream(stream: string, from: number, to: number): Promise<readonly Uint8Array[]> {
    return this.#live().readStream(stream, from, to);
  }

  async put(table: string, key: string, value: Uint8Array): Promise<void> {
    this.#live().put(table, key, value);
  }

  async insert(table: string, key: string, value: Uint8Array): Promise<void> {
    const present = this.#live().get(table, key);
    if (present === undefined) this.#writer.put(table, key, value);
    else if (Buffer.compare(present, value) !== 0) throw new StoreError('CONFLICT', 'another value is there already');
  }

  async delete(table: string, key: string): Promise<boolean> {
    return this.#live().delete(table, key);
  }

  async append(stream: string, value: Uint8Array): Promise<number> {
    return this.#live().append(stream, value);
  }

  #live(): SqliteWriter {
    if (this.#ended) throw new Error('a transaction used after its end');
    return this.#writer;
  }
}
