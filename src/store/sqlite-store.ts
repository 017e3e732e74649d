import { AsyncLocalStorage } from 'node:async_hooks';
import { closeSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { asStoreError, StoreError } from './errors.ts';
import type { RecordStore, StoredRow, Transaction } from './port.ts';
import { SqliteReader, SqliteTransaction, SqliteWriter, verifyRows } from './sqlite-rows.ts';

const SCHEMA_VERSION = 1;
const SCHEMA = `
  CREATE TABLE record (tab TEXT, key TEXT, value BLOB, digest BLOB, PRIMARY KEY (tab, key)) STRICT;
  CREATE TABLE entry (stream TEXT, position INTEGER, value BLOB, digest BLOB, PRIMARY KEY (stream, position)) STRICT;
  PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** What an embedded record store is opened with. */
export interface SqliteOptions {
  /** How long a transaction waits for another process's. Default 10 s. */
  readonly busyTimeoutMs?: number;
}

/**
 * Records in one SQLite file, WAL with synchronous=FULL: a commit is in the journal and on the device before it returns.
 *
 * One connection writes, one step at a time, and waits for other processes without blocking the event loop; another one
 * reads, so that nothing uncommitted is ever seen from outside. Every row carries SHA-256 over its place and value.
 */
export class SqliteStore implements RecordStore {
  readonly #writer: DatabaseSync;
  readonly #statements: SqliteWriter;
  readonly #readerConnection: DatabaseSync;
  readonly #reader: SqliteReader;
  readonly #busyTimeoutMs: number;
  readonly #inside = new AsyncLocalStorage<true>();
  #queue: Promise<unknown> = Promise.resolve();
  #state: 'open' | 'failed' | 'closed' = 'open';

  private constructor(writer: DatabaseSync, reader: DatabaseSync, busyTimeoutMs: number) {
    this.#writer = writer;
    this.#statements = new SqliteWriter(writer);
    this.#readerConnection = reader;
    this.#reader = new SqliteReader(reader);
    this.#busyTimeoutMs = busyTimeoutMs;
  }

  /**
   * Opens or makes the file, checks its structure and reads every row once. The file is readable by the owner only.
   *
   * @throws StoreError CORRUPT when it is not an intact store of ours; BUSY, FULL, IO_FAILED.
   */
  static async open(path: string, options: SqliteOptions = {}): Promise<SqliteStore> {
    const busyTimeoutMs = options.busyTimeoutMs ?? 10_000;
    const opened: DatabaseSync[] = [];
    try {
      // Made by us, for its mode; SQLite gives its journals the same one.
      closeSync(openSync(path, 'a', 0o600));
      const connect = (timeout: number): DatabaseSync => {
        const database = new DatabaseSync(path, { timeout });
        opened.push(database);
        return database;
      };
      const writer = connect(0);
      await retryBusy(busyTimeoutMs, () => {
        writer.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON');
      });
      await begin(writer, busyTimeoutMs);
      if (isUnused(writer)) writer.exec(SCHEMA);
      writer.exec('COMMIT');
      // Readers wait for nobody, but for the moment in which another process recovers or removes the journal.
      const reader = connect(2000);
      reader.exec('PRAGMA query_only = ON');
      requireIntact(reader);
      verifyRows(reader);
      return new SqliteStore(writer, reader, busyTimeoutMs);
    } catch (cause) {
      for (const database of opened) if (database.isOpen) database.close();
      throw asStoreError(cause);
    }
  }

  async get(table: string, key: string): Promise<Uint8Array | undefined> {
    return this.#read(() => this.#reader.get(table, key));
  }

  async list(table: string, prefix = ''): Promise<readonly StoredRow[]> {
    return this.#read(() => this.#reader.list(table, prefix));
  }

  async streamLength(stream: string): Promise<number> {
    return this.#read(() => this.#reader.streamLength(stream));
  }

  async readStream(stream: string, from: number, to: number): Promise<readonly Uint8Array[]> {
    return this.#read(() => this.#reader.readStream(stream, from, to));
  }

  transact<T>(step: (tx: Transaction) => Promise<T>): Promise<T> {
    if (this.#inside.getStore()) return Promise.reject(new Error('a transaction inside a transaction'));
    const turn = this.#queue.then(() => this.#inside.run(true, () => this.#perform(step)));
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async scrub(): Promise<void> {
    const turn = this.#queue.then(async () => {
      this.#requireWritable();
      // A checkpoint is busy while another connection reads: wait as for a transaction.
      await retryBusy(this.#busyTimeoutMs, () => {
        const { busy } = this.#writer.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get() as { busy: number };
        if (busy !== 0) throw new StoreError('BUSY', 'the journal is in use');
      });
    });
    this.#queue = turn.catch(() => undefined);
    return turn;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue;
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#readerConnection.close();
    // The last connection of all processes moves the journal into the file and removes it.
    this.#writer.close();
  }

  async #perform<T>(step: (tx: Transaction) => Promise<T>): Promise<T> {
    this.#requireWritable();
    await begin(this.#writer, this.#busyTimeoutMs);
    const transaction = new SqliteTransaction(this.#statements);
    try {
      const result = await step(transaction);
      transaction.end();
      this.#writer.exec('COMMIT');
      return result;
    } catch (cause) {
      transaction.end();
      this.#rollBack();
      // The step's own refusals pass as they are; what the database or the disk threw becomes ours.
      throw this.#latch(cause);
    }
  }

  #rollBack(): void {
    try {
      if (this.#writer.isTransaction) this.#writer.exec('ROLLBACK');
    } catch {
      this.#state = 'failed';
    }
  }

  /** After a failed write or fsync the device's state is unknown (a retried fsync may succeed without the data). */
  #latch(cause: unknown): unknown {
    const foreign = typeof (cause as { errcode?: unknown } | null)?.errcode === 'number';
    if (!foreign && !(cause instanceof StoreError)) return cause;
    const error = asStoreError(cause);
    if (error.code === 'IO_FAILED' || error.code === 'CORRUPT') this.#state = 'failed';
    return error;
  }

  #requireWritable(): void {
    if (this.#state === 'closed') throw new StoreError('CLOSED', 'the store is closed');
    if (this.#state === 'failed') throw new StoreError('READ_ONLY', 'an earlier write has failed: reopen the store');
  }

  #read<T>(query: () => T): T {
    if (this.#state === 'closed') throw new StoreError('CLOSED', 'the store is closed');
    try {
      return query();
    } catch (cause) {
      throw asStoreError(cause);
    }
  }
}

/** True for a file that nothing was ever written to; anything else must carry our schema. */
function isUnused(database: DatabaseSync): boolean {
  const { user_version: version } = database.prepare('PRAGMA user_version').get() as { user_version: number };
  const { tables } = database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get() as { tables: number };
  if (version === 0 && tables === 0) return true;
  if (version !== SCHEMA_VERSION) throw new StoreError('CORRUPT', 'not a store of this version');
  return false;
}

function requireIntact(database: DatabaseSync): void {
  const found = database.prepare('PRAGMA integrity_check(1)').get() as { integrity_check: string };
  if (found.integrity_check !== 'ok') throw new StoreError('CORRUPT', 'the database file is damaged');
}

async function begin(database: DatabaseSync, timeoutMs: number): Promise<void> {
  await retryBusy(timeoutMs, () => database.exec('BEGIN IMMEDIATE'));
}

/** Tries until it is not BUSY, with pauses that leave the event loop free. */
async function retryBusy(timeoutMs: number, attempt: () => void): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 20)) {
    try {
      return attempt();
    } catch (cause) {
      const error = asStoreError(cause);
      if (error.code !== 'BUSY' || performance.now() > deadline) throw error;
    }
    // Jitter, so that two processes do not meet again and again.
    await sleep(pauseMs * (0.5 + Math.random()));
  }
}
