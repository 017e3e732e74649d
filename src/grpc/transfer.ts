/**
 * Messages of resumable transfers, as the generated types spell them. Uploads (payloads, models) and downloads (sums,
 * models, results) have one shape each, so one client and one server handle them all.
 */

/** From the sender: the header once and first, then chunks. */
export interface UploadPart<Header> {
  part?: { $case: 'header'; value: Header } | { $case: 'chunk'; value: Uint8Array } | undefined;
}

/** From the receiver: durable bytes after the header and after every chunk; the receipt once, last. */
export interface UploadProgress<Receipt> {
  part?: { $case: 'receivedBytes'; value: bigint } | { $case: 'receipt'; value: Receipt } | undefined;
}

/** From the sender of a download: the whole length once and first, then chunks from the offset asked for. */
export interface DownloadPart {
  part?: { $case: 'totalBytes'; value: bigint } | { $case: 'chunk'; value: Uint8Array } | undefined;
}

/** Bytes to send, read as often as cuts make it necessary. */
export interface ByteSource {
  readonly lengthBytes: number;
  /** Exactly `length` bytes from `offset`; the same ones at every call. */
  read(offset: number, length: number): Promise<Uint8Array> | Uint8Array;
}

/** Bytes in memory as a source. */
export function sourceOf(bytes: Uint8Array): ByteSource {
  return { lengthBytes: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) };
}
