import { fromUtf8, toHex, utf8 } from '../../crypto/encoding.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import type { Store } from '../store/port.ts';
import { primitives } from './party.ts';

/** Hashes of what came with uploads of rounds without masks, by round and node. */
const SHARINGS = 'upload-sharings';

interface Sharing {
  readonly correction: Uint8Array;
  readonly boxes: readonly { readonly sealed: Uint8Array }[];
}

/**
 * Keeps what an upload shares its key with, before its leaf is logged. The log may refuse that one, or take nothing for a while:
 * then no leaf names these bytes, so it is written down which round they are of, and of each node its first ones are kept.
 *
 * @throws ProtocolError DUPLICATE_UPLOAD
 */
export async function keepSharing(
  { records, blobs }: Store,
  place: { readonly round: string; readonly node: string },
  { correction, boxes }: Sharing,
): Promise<void> {
  const parts = [correction, ...boxes.map(({ sealed }) => sealed)];
  const hashes = parts.map((part) => toHex(primitives.sha256(part))).join(' ');
  const key = `${place.round}/${place.node}`;
  const first = await records.transact(async (tx) => {
    const earlier = await tx.get(SHARINGS, key);
    if (earlier === undefined) await tx.put(SHARINGS, key, utf8(hashes));
    return earlier === undefined ? hashes : fromUtf8(earlier);
  });
  if (first !== hashes) throw new ProtocolError('DUPLICATE_UPLOAD', 'another upload of this node came before');
  await blobs.putAll(parts);
}

/** Hashes of all that was kept so, by round. */
export async function keptSharings({ records }: Store): Promise<ReadonlyMap<string, readonly string[]>> {
  const byRound = Map.groupBy(await records.list(SHARINGS), ({ key }) => key.split('/')[0]!);
  return new Map([...byRound].map(([round, own]) => [round, own.flatMap(({ value }) => fromUtf8(value).split(' '))]));
}

/** Forgets which bytes came with uploads of a round. They stay: they are removed before. */
export async function forgetSharings({ records }: Store, round: string): Promise<void> {
  const rows = await records.list(SHARINGS, `${round}/`);
  await records.transact(async (tx) => {
    for (const { key } of rows) await tx.delete(SHARINGS, key);
  });
}
