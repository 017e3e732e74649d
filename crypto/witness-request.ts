import { fromBase64, fromUtf8, toBase64, utf8 } from './encoding.ts';
import { CryptoError } from './errors.ts';
import { HASH_BYTES } from './merkle.ts';
import { MAX_NOTE_BYTES } from './note.ts';

/** C2SP tlog-witness: at most so many lines of proof. */
const MAX_HASHES = 63;
/** Largest request: the old size, 63 hashes, and a note. */
export const MAX_WITNESS_REQUEST_BYTES = MAX_NOTE_BYTES + 4096;

/** What a log asks a witness: to cosign a head that extends the one it cosigned last (C2SP tlog-witness, add-checkpoint). */
export interface WitnessRequest {
  /** Size that the log believes the witness to hold; 0 where it knows nothing. */
  readonly oldSize: number;
  /** Consistency proof from the old size, 32 bytes each; empty where that is 0. */
  readonly proof: readonly Uint8Array[];
  /** The checkpoint, a signed note. */
  readonly note: Uint8Array;
}

const bad = (message: string): CryptoError => new CryptoError('BAD_ENCODING', `witness request: ${message}`);

/** Bytes of the body. @throws CryptoError BAD_ENCODING for what `parseWitnessRequest` would refuse. */
export function formatWitnessRequest({ oldSize, proof, note }: WitnessRequest): Uint8Array {
  if (!Number.isSafeInteger(oldSize) || oldSize < 0) throw bad('not a size');
  if (proof.length > MAX_HASHES || proof.some((hash) => hash.length !== HASH_BYTES)) throw bad('not a proof');
  const lines = [`old ${oldSize}`, ...proof.map(toBase64)].map((line) => `${line}\n`).join('');
  return utf8(`${lines}\n${fromUtf8(note)}`);
}

/** Reads a body; verifies nothing. Law: re-encodes equal. @throws CryptoError BAD_ENCODING */
export function parseWitnessRequest(body: Uint8Array): WitnessRequest {
  if (body.length > MAX_WITNESS_REQUEST_BYTES) throw bad('too long');
  const whole = fromUtf8(body);
  const split = whole.indexOf('\n\n');
  if (split < 0) throw bad('no empty line before the checkpoint');
  const [first, ...rest] = whole.slice(0, split).split('\n');
  const old = /^old (0|[1-9][0-9]{0,15})$/.exec(first!);
  if (old === null || !Number.isSafeInteger(Number(old[1]))) throw bad('no old size');
  if (rest.length > MAX_HASHES) throw bad('more hashes than any proof has');
  const proof = rest.map((line) => fromBase64(line, HASH_BYTES));
  return { oldSize: Number(old[1]), proof, note: utf8(whole.slice(split + 2)) };
}
