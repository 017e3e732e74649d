import { toHex } from '../../crypto/encoding.ts';
import type { ChunkSink } from '../grpc/receive-upload.ts';
import type { ByteSource } from '../grpc/transfer.ts';
import { StoreError } from '../store/errors.ts';
import type { BlobReader, Store } from '../store/port.ts';

/** Resumable uploads into a store: `id` must have been begun by the rules that admit the header. */
export function chunkSink(store: Store): ChunkSink {
  return {
    received: async (id) => (await store.uploads.status(id)).receivedBytes,
    append: async (id, offset, bytes) => void (await store.uploads.append(id, offset, bytes)),
    finish: async (id, hash) => {
      try {
        return (await store.uploads.finalise(id)).hash === toHex(hash);
      } catch (error) {
        if (error instanceof StoreError && error.code === 'HASH_MISMATCH') return false;
        throw error;
      }
    },
  };
}

/** A stored blob as something to send. */
export function sourceOfBlob(reader: BlobReader): ByteSource {
  return { lengthBytes: reader.lengthBytes, read: (offset, length) => reader.read(offset, length) };
}

/** Removes an upload, finished or not. @param hash - its blob's: no other upload's, where no leaf can name it. */
export async function dropUpload({ uploads, blobs }: Store, id: string, hash: string): Promise<void> {
  // The upload goes before its blob: one that is being finished then finds nothing to finish.
  await uploads.abandon(id);
  await blobs.removeAll([hash]);
}
