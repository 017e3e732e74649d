import { openCheckpoint, type VerifiedCheckpoint } from './checkpoint.ts';
import { fromBase64, fromUtf8, toBase64, utf8 } from './encoding.ts';
import { CryptoError } from './errors.ts';
import { HASH_BYTES, verifyInclusion } from './merkle.ts';
import { MAX_NOTE_BYTES } from './note.ts';
import type { Policy } from './policy.ts';
import type { Primitives } from './primitives.ts';

const FIRST_LINE = 'c2sp.org/tlog-proof@v1';
/** A path in a tree of less than 2^63 leaves. */
const MAX_HASHES = 63;
/** Longest file that is parsed: header, path, and a note. Extra data has what is left. */
const MAX_PROOF_BYTES = MAX_NOTE_BYTES + 16_384;

/** C2SP tlog-proof: that an entry is in a log whose head witnesses saw. Whole in itself: verified offline. */
export interface TlogProof {
  /** Data of the application, authenticated by nothing; null where there is none. Ours has none. */
  readonly extra: Uint8Array | null;
  /** Index of the entry, from 0. */
  readonly index: number;
  /** RFC 6962 audit path, from the leaf's sibling upwards; 32 bytes each. */
  readonly hashes: readonly Uint8Array[];
  /** The checkpoint, a signed note with its cosignatures, byte for byte. */
  readonly checkpoint: Uint8Array;
}

const bad = (message: string): CryptoError => new CryptoError('BAD_ENCODING', `proof: ${message}`);

/** Bytes of a `.tlog-proof` file. @throws CryptoError BAD_ENCODING for what `parseProof` would refuse. */
export function formatProof({ extra, index, hashes, checkpoint }: TlogProof): Uint8Array {
  if (!Number.isSafeInteger(index) || index < 0) throw bad('not an index');
  if (hashes.length > MAX_HASHES || hashes.some((hash) => hash.length !== HASH_BYTES)) throw bad('not an audit path');
  const lines = [FIRST_LINE, ...(extra === null ? [] : [`extra ${toBase64(extra)}`]), `index ${index}`];
  const header = [...lines, ...hashes.map(toBase64)].map((line) => `${line}\n`).join('');
  return utf8(`${header}\n${fromUtf8(checkpoint)}`);
}

/**
 * Reads a proof; verifies nothing. Law: `formatProof(parseProof(b)) = b`.
 *
 * @throws CryptoError BAD_ENCODING for any other form. The checkpoint in it is not looked into here.
 */
export function parseProof(bytes: Uint8Array): TlogProof {
  if (bytes.length > MAX_PROOF_BYTES) throw bad('too long');
  const whole = fromUtf8(bytes);
  // Header lines are not empty, so the first empty line ends them.
  const split = whole.indexOf('\n\n');
  if (split < 0) throw bad('no empty line before the checkpoint');
  const [first, ...rest] = whole.slice(0, split).split('\n');
  if (first !== FIRST_LINE) throw bad('another format or version');
  const extra = rest[0]?.startsWith('extra ') === true ? fromBase64(rest.shift()!.slice(6)) : null;
  const index = /^index (0|[1-9][0-9]{0,15})$/.exec(rest.shift() ?? '');
  if (index === null || !Number.isSafeInteger(Number(index[1]))) throw bad('no index line');
  if (rest.length > MAX_HASHES) throw bad('more hashes than any path has');
  const hashes = rest.map((line) => fromBase64(line, HASH_BYTES));
  return { extra, index: Number(index[1]), hashes, checkpoint: utf8(whole.slice(split + 2)) };
}

/**
 * Verifies a proof against a policy: the checkpoint is signed by one of its logs for that log's own origin, known
 * cosignatures are genuine and enough, and the path binds the leaf to the checkpoint's root.
 *
 * @param leaf - RFC 6962 hash of the entry that is claimed to be in the log.
 * @throws CryptoError BAD_ENCODING; BAD_SIGNATURE: not this log's, a forged line of a known key, or fewer witnesses than
 *   the quorum; BAD_VALUE: the path leads elsewhere.
 */
export function verifyProof(p: Primitives, proof: TlogProof, leaf: Uint8Array, policy: Policy): VerifiedCheckpoint {
  const opened = openCheckpoint(p, proof.checkpoint, policy);
  if (!opened.quorum) throw new CryptoError('BAD_SIGNATURE', 'fewer witnesses than the policy asks for');
  const { size, root } = opened.checkpoint;
  if (!verifyInclusion(p, { index: proof.index, size, leaf, root }, proof.hashes)) {
    throw new CryptoError('BAD_VALUE', 'the path does not lead from this leaf to the root');
  }
  return opened;
}
