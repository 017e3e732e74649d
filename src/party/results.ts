import { toHex } from '../../crypto/encoding.ts';
import type { Opening } from '../../protocols/recipient.ts';
import type { Round } from '../../protocols/transcript.ts';
import { sendBlob } from '../grpc/download.ts';
import { implement } from '../grpc/handlers.ts';
import { ResultService } from '../grpc/services.ts';
import { StoreError } from '../store/errors.ts';
import { sourceOfBlob } from './chunk-sink.ts';
import type { Party } from './party.ts';

const RESULTS = 'results';

/** The opened sum, little-endian 32-bit integers, before its release is logged. */
export async function keepResult(party: Party, round: Round, opening: Opening): Promise<void> {
  const { values } = opening;
  const { hash } = await party.store.blobs.put([new Uint8Array(values.buffer, values.byteOffset, values.byteLength)]);
  await party.store.records.transact((tx) => tx.put(RESULTS, round.id, new TextEncoder().encode(hash)));
}

/** Where the recipient keeps an opened sum: its blob's hash. @throws StoreError NOT_FOUND. */
export async function resultHashFor({ store }: Pick<Party, 'store'>, roundId: string): Promise<string> {
  const hash = await store.records.get(RESULTS, roundId);
  if (hash === undefined) throw new StoreError('NOT_FOUND', 'this recipient has no opened sum of that round');
  return new TextDecoder().decode(hash);
}

/** Serves the recipient's own opened sums to its own command line. */
export function results(party: Party) {
  return implement(ResultService, {
    fetch: async function* ({ roundId, offsetBytes }) {
      using reader = await party.store.blobs.open(await resultHashFor(party, toHex(roundId)));
      yield* sendBlob(sourceOfBlob(reader), offsetBytes);
    },
  });
}
