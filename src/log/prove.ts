import { openCheckpoint, parseCheckpoint } from '../../crypto/checkpoint.ts';
import { bytesEqual, toHex } from '../../crypto/encoding.ts';
import { HASH_BYTES, inclusionProof, leafHash, verifyInclusion } from '../../crypto/merkle.ts';
import { parseNote } from '../../crypto/note.ts';
import type { Policy } from '../../crypto/policy.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { parseBundle, TILE_WIDTH, type TileRef } from '../../crypto/tiles.ts';
import { formatProof } from '../../crypto/tlog-proof.ts';
import { LogError } from './errors.ts';
import { fromTiles, type LogSource, readRequired, readTile } from './log-source.ts';

/** A leaf by its index, or by its RFC 6962 hash (64 hexadecimal digits). */
export type LeafName = number | string;

export interface ProvenLeaf {
  /** The file: C2SP tlog-proof. */
  readonly proof: Uint8Array;
  readonly index: number;
  readonly size: number;
  /** The entry's bytes, which whoever verifies the proof needs as well. */
  readonly entry: Uint8Array;
}

/**
 * Makes a proof that a leaf is in a log, from the log's files. It is verified before it is returned: against the
 * checkpoint's root, and against the policy where one is given.
 *
 * @param policy - null: whose signatures the checkpoint carries is not looked at.
 * @throws LogError NOT_FOUND: no such leaf or file; BAD_CHECKPOINT, NOT_COSIGNED under the policy; BAD_FILES: the files do
 *   not give the checkpoint's root; UNREACHABLE, TOO_LARGE.
 */
export async function proveLeaf(
  p: Primitives,
  source: LogSource,
  leaf: LeafName,
  policy: Policy | null,
): Promise<ProvenLeaf> {
  const note = await readRequired(source, 'checkpoint');
  const { size, root } = openHead(p, note, policy);
  const index = typeof leaf === 'number' ? leaf : await indexOf(source, leaf, size);
  if (index >= size) throw new LogError('NOT_FOUND', `the log has ${size} leaves: the last one is ${size - 1}`);
  const hashes = await fromTiles(p, source, size, (read) => inclusionProof(p, read, index, size));
  const entry = await readEntry(source, index, size);
  const hash = leafHash(p, entry);
  if (!verifyInclusion(p, { index, size, leaf: hash, root }, hashes) || !isNamed(leaf, hash)) {
    throw new LogError('BAD_FILES', `the files of ${source.name} are not those of its checkpoint`);
  }
  return { proof: formatProof({ extra: null, index, hashes, checkpoint: note }), index, size, entry };
}

function isNamed(leaf: LeafName, hash: Uint8Array): boolean {
  return typeof leaf === 'number' || leaf === toHex(hash);
}

function openHead(p: Primitives, note: Uint8Array, policy: Policy | null) {
  try {
    if (policy === null) return parseCheckpoint(parseNote(note).text);
    const opened = openCheckpoint(p, note, policy);
    if (opened.quorum) return opened.checkpoint;
  } catch (cause) {
    throw new LogError('BAD_CHECKPOINT', 'not a checkpoint signed by a log of the policy', { cause });
  }
  throw new LogError('NOT_COSIGNED', 'fewer witnesses than the policy asks for have cosigned the checkpoint');
}

/** Looks through the hashes of all leaves, tile by tile, newest first. */
async function indexOf(source: LogSource, hex: string, size: number): Promise<number> {
  const wanted = Buffer.from(hex, 'hex');
  for (let index = Math.ceil(size / TILE_WIDTH) - 1; index >= 0; index--) {
    const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
    const tile = await readTile(source, { kind: 'hashes', level: 0, index, width });
    for (let i = 0; i < width; i++) {
      if (bytesEqual(tile.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES), wanted)) return index * TILE_WIDTH + i;
    }
  }
  throw new LogError('NOT_FOUND', 'the log has no leaf of this hash');
}

async function readEntry(source: LogSource, leaf: number, size: number): Promise<Uint8Array> {
  const index = Math.floor(leaf / TILE_WIDTH);
  const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
  const ref: TileRef = { kind: 'entries', level: 0, index, width };
  return parseBundle(await readTile(source, ref), width)[leaf % TILE_WIDTH]!;
}
