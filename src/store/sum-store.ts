import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { guarded, temporaryPath } from './blob-store.ts';
import { DigestedFile, decodeDigest, encodeDigest, type FileDigest, writeDigested } from './digest-file.ts';
import type { Disk } from './disk.ts';
import { asStoreError, StoreError } from './errors.ts';
import type { RecordStore, StoredSum, StoreReader, SumInfo, SumStore } from './port.ts';

const TABLE = 'store.sum';
const CLAIMS = 'store.claim';

/** One row per sum: u64be version, u32be length of meta, meta, digest of the file. */
interface SumRow {
  readonly version: number;
  readonly meta: Uint8Array;
  readonly digest: FileDigest;
}

function encodeRow({ version, meta, digest }: SumRow): Uint8Array {
  const head = Buffer.alloc(12);
  head.writeBigUInt64BE(BigInt(version), 0);
  head.writeUInt32BE(meta.length, 8);
  return new Uint8Array(Buffer.concat([head, meta, encodeDigest(digest)]));
}

function decodeRow(bytes: Uint8Array): SumRow {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < 12 || bytes.length < 12 + record.readUInt32BE(8)) {
    throw new StoreError('CORRUPT', 'the record of a sum is not one');
  }
  const end = 12 + record.readUInt32BE(8);
  return {
    version: Number(record.readBigUInt64BE(0)),
    meta: bytes.slice(12, end),
    digest: decodeDigest(bytes.slice(end)),
  };
}

/** A claim only saves work that would be done twice: an unreadable one holds nobody back. */
function claimOf(row: Uint8Array | undefined): { readonly holder: string; readonly untilMs: number } | undefined {
  if (row === undefined) return undefined;
  try {
    const [holder, untilMs] = JSON.parse(Buffer.from(row).toString()) as [unknown, unknown];
    return typeof holder === 'string' && typeof untilMs === 'number' ? { holder, untilMs } : undefined;
  } catch {
    return undefined;
  }
}

async function find(reader: StoreReader, name: string): Promise<SumRow | undefined> {
  const row = await reader.get(TABLE, name);
  return row === undefined ? undefined : decodeRow(row);
}

function describe({ version, meta, digest }: SumRow): SumInfo {
  return { version, meta, hash: digest.hash, lengthBytes: digest.lengthBytes };
}

/**
 * Running sums as files `sums/<hash of the name>.<version>`. A new version is a new file, named inside the transaction
 * that counts it; the old one is removed after the commit, and what a crash leaves behind at the next opening.
 */
export class FileSumStore implements SumStore {
  readonly #folder: string;
  readonly #records: RecordStore;
  readonly #disk: Disk;

  constructor(folder: string, records: RecordStore, disk: Disk) {
    this.#folder = folder;
    this.#records = records;
    this.#disk = disk;
  }

  async find(name: string): Promise<SumInfo | undefined> {
    const row = await find(this.#records, name);
    return row === undefined ? undefined : describe(row);
  }

  async open(name: string): Promise<StoredSum | undefined> {
    for (;;) {
      const row = await find(this.#records, name);
      if (row === undefined) return undefined;
      const { version } = row;
      try {
        const file = await DigestedFile.open(this.#path(name, version), row.digest);
        const read = (offset: number, lengthBytes: number): Promise<Uint8Array> => file.read(offset, lengthBytes);
        return { ...describe(row), read, [Symbol.dispose]: () => file[Symbol.dispose]() };
      } catch (cause) {
        const error = asStoreError(cause);
        if (error.code !== 'NOT_FOUND') throw error;
        // Replaced between the row and the file: look again. The same version without its file is damage.
        if ((await find(this.#records, name))?.version === version) {
          throw new StoreError('CORRUPT', 'the file of a sum is missing', { cause });
        }
      }
    }
  }

  async replace(
    name: string,
    expectedVersion: number,
    meta: Uint8Array,
    content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<SumInfo> {
    const version = expectedVersion + 1;
    const temporary = temporaryPath(this.#folder);
    try {
      const digest = await guarded(() => writeDigested(this.#disk, temporary, content));
      await this.#records.transact(async (tx) => {
        const current = await find(tx, name);
        if ((current?.version ?? 0) !== expectedVersion) throw new StoreError('CONFLICT', 'the sum has moved on');
        await guarded(() => this.#disk.rename(temporary, this.#path(name, version)));
        await guarded(() => this.#disk.syncFolder(join(this.#folder, 'sums')));
        await tx.put(TABLE, name, encodeRow({ version, meta, digest }));
      });
      if (expectedVersion > 0) await this.#disk.remove(this.#path(name, expectedVersion)).catch(() => undefined);
      return describe({ version, meta, digest });
    } catch (cause) {
      await this.#disk.remove(temporary).catch(() => undefined);
      throw cause;
    }
  }

  async remove(name: string): Promise<boolean> {
    return this.#records.transact(async (tx) => {
      const row = await find(tx, name);
      if (row === undefined) return false;
      await tx.delete(TABLE, name);
      await tx.delete(CLAIMS, name);
      await guarded(() => this.#disk.remove(this.#path(name, row.version)));
      return true;
    });
  }

  async claim(name: string, holder: string, nowMs: number, untilMs: number): Promise<boolean> {
    return this.#records.transact(async (tx) => {
      const claim = claimOf(await tx.get(CLAIMS, name));
      if (claim !== undefined && claim.holder !== holder && claim.untilMs > nowMs) return false;
      await tx.put(CLAIMS, name, Buffer.from(JSON.stringify([holder, untilMs])));
      return true;
    });
  }

  /** Removes files that no row names, under the lock: sums get their names only under it. */
  async sweep(): Promise<void> {
    await this.#records.transact(async (tx) => {
      const named = new Set<string>();
      for (const { key, value } of await tx.list(TABLE)) named.add(this.#fileName(key, decodeRow(value).version));
      for (const file of await readdir(join(this.#folder, 'sums'))) {
        if (!named.has(file)) await guarded(() => this.#disk.remove(join(this.#folder, 'sums', file)));
      }
    });
  }

  #fileName(name: string, version: number): string {
    return `${createHash('sha256').update(name).digest('hex')}.${version}`;
  }

  #path(name: string, version: number): string {
    return join(this.#folder, 'sums', this.#fileName(name, version));
  }
}
