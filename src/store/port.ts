/**
 * What parties keep, behind interfaces that an embedded store and a database server can both serve.
 *
 * Laws, for every method that changes something: when its promise resolves the change has reached the device (fsync);
 * when it rejects, or the process dies before, the change is there wholly or not at all. Reading gives the bytes that were
 * written or throws StoreError CORRUPT.
 */

/** Table, stream and key names: 1..512 characters without NUL. Keys may come from peers. */
export interface StoreReader {
  get(table: string, key: string): Promise<Uint8Array | undefined>;
  /** Rows whose key starts with the prefix, in the byte order of their keys' UTF-8. */
  list(table: string, prefix?: string): Promise<readonly StoredRow[]>;
  /** Values in a stream: 0 where nothing was ever appended. */
  streamLength(stream: string): Promise<number>;
  /** Values with indices in [from, to), clipped to the stream's length. */
  readStream(stream: string, from: number, to: number): Promise<readonly Uint8Array[]>;
}

export interface StoredRow {
  readonly key: string;
  readonly value: Uint8Array;
}

/** Valid only until its step resolves. Reads see the transaction's own writes. */
export interface Transaction extends StoreReader {
  put(table: string, key: string, value: Uint8Array): Promise<void>;
  /** Writes once: the same value again does nothing. @throws StoreError CONFLICT when another value is there. */
  insert(table: string, key: string, value: Uint8Array): Promise<void>;
  /** Whether there was something to delete. The bytes are overwritten; `scrub` takes them out of the journal too. */
  delete(table: string, key: string): Promise<boolean>;
  /** The new value's index, one above the last. */
  append(stream: string, value: Uint8Array): Promise<number>;
}

/** Key/value tables and append-only streams. Reads outside a transaction see committed rows only. */
export interface RecordStore extends StoreReader, AsyncDisposable {
  /**
   * Runs the step alone among all processes of this store, and commits it durably. When the step throws, nothing of it
   * remains and the error is passed on. Not to be nested.
   *
   * @throws StoreError BUSY when the lock is not free within the deadline; FULL; IO_FAILED, after which the outcome is
   *   known only by reopening and every further write is refused as READ_ONLY; CLOSED.
   */
  transact<T>(step: (tx: Transaction) => Promise<T>): Promise<T>;
  /** Takes deleted and overwritten values out of the journal as well: afterwards no file of the store holds them. */
  scrub(): Promise<void>;
}

/** SHA-256 of the content, 64 lower-case hex digits: the name of a blob, and of its file. */
export type BlobHash = string;

export interface BlobInfo {
  readonly hash: BlobHash;
  readonly lengthBytes: number;
}

/** Random access to bytes that are checked as they are read, MiB by MiB. Dispose it, or a descriptor stays open. */
export interface BlobReader extends Disposable {
  readonly lengthBytes: number;
  /** @throws StoreError CORRUPT when the bytes are not those written; LENGTH_MISMATCH outside [0, lengthBytes]. */
  read(offset: number, lengthBytes: number): Promise<Uint8Array>;
}

/** Immutable blobs named by content. */
export interface BlobStore {
  put(content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<BlobInfo>;
  /** Several small blobs in one durable step: all of them, or none that anything names. */
  putAll(contents: readonly Uint8Array[]): Promise<readonly BlobInfo[]>;
  has(hash: BlobHash): Promise<boolean>;
  /** The whole blob, verified. @throws StoreError NOT_FOUND, CORRUPT */
  get(hash: BlobHash): Promise<Uint8Array>;
  /** For blobs larger than memory. @throws StoreError NOT_FOUND, CORRUPT */
  open(hash: BlobHash): Promise<BlobReader>;
  list(): Promise<readonly BlobInfo[]>;
  remove(hash: BlobHash): Promise<boolean>;
  /** In durable steps of some hundred blobs; those that are not there are passed over. */
  removeAll(hashes: readonly BlobHash[]): Promise<void>;
}

/** What a sender declares before the first chunk. */
export interface DeclaredUpload {
  readonly lengthBytes: number;
  readonly hash: BlobHash;
}

export interface UploadStatus extends DeclaredUpload {
  /** Durable bytes: where the next chunk starts. */
  readonly receivedBytes: number;
}

/**
 * Uploads in chunks that survive cut connections and killed processes: any process of the folder takes the next chunk.
 * The id is the sender's and round's, chosen by the caller; it never becomes a file name.
 */
export interface UploadStore {
  /** Starts or finds an upload. @throws StoreError CONFLICT when it was declared otherwise; TOO_LARGE, FULL. */
  begin(id: string, declared: DeclaredUpload): Promise<UploadStatus>;
  /** @throws StoreError NOT_FOUND */
  status(id: string): Promise<UploadStatus>;
  /**
   * Takes a chunk. Bytes below `receivedBytes` are skipped, so that sending a chunk twice changes nothing.
   *
   * @returns durable bytes, for the acknowledgement.
   * @throws StoreError NOT_FOUND; OFFSET_MISMATCH for a gap; LENGTH_MISMATCH beyond the declared length.
   */
  append(id: string, offset: number, chunk: Uint8Array): Promise<number>;
  /**
   * Turns a complete upload into a blob. Asked again, also after a lost answer, it answers the same.
   *
   * @throws StoreError NOT_FOUND; LENGTH_MISMATCH while incomplete; HASH_MISMATCH, and then the upload is gone.
   */
  finalise(id: string): Promise<BlobInfo>;
  /** Forgets an upload and its unfinished bytes; a blob that was made of it stays. */
  abandon(id: string): Promise<boolean>;
  list(): Promise<readonly (UploadStatus & { readonly id: string })[]>;
}

/** A running sum at one version. `meta` says what is in it: written and replaced together with the bytes. */
export interface SumInfo {
  readonly version: number;
  readonly meta: Uint8Array;
  readonly hash: BlobHash;
  readonly lengthBytes: number;
}

/** The same, open for reading until disposed; it stays readable when the sum is replaced meanwhile. */
export interface StoredSum extends SumInfo, BlobReader {}

/** Named running sums, replaced by compare and swap: two processes never both add on top of one version. */
export interface SumStore {
  find(name: string): Promise<SumInfo | undefined>;
  open(name: string): Promise<StoredSum | undefined>;
  /**
   * @param expectedVersion - 0 where there must be none yet.
   * @returns what the sum is now.
   * @throws StoreError CONFLICT when another process was faster: open again.
   */
  replace(
    name: string,
    expectedVersion: number,
    meta: Uint8Array,
    content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<SumInfo>;
  remove(name: string): Promise<boolean>;
  /**
   * Tells processes apart that would do the same work: true for the holder until then. Saves work only; safety rests on
   * the compare and swap.
   */
  claim(name: string, holder: string, nowMs: number, untilMs: number): Promise<boolean>;
}

/** One folder of one machine. Aggregators share one; every other party has its own. */
export interface Store extends AsyncDisposable {
  readonly folder: string;
  readonly records: RecordStore;
  readonly blobs: BlobStore;
  readonly uploads: UploadStore;
  readonly sums: SumStore;
}
