import { bytesEqual, fromBase64, toBase64 } from './encoding.ts';
import { CryptoError } from './errors.ts';
import {
  formatNote,
  isBy,
  type Note,
  type NoteSignature,
  openNote,
  parseNote,
  type Signer,
  signText,
  type VerifiedSignature,
} from './note.ts';
import { type Policy, type PolicyWitness, satisfies } from './policy.ts';
import type { Primitives } from './primitives.ts';

/** A log's head: which log, how many leaves, and the RFC 6962 root over them (32 bytes). */
export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
}

const bad = (message: string): CryptoError => new CryptoError('BAD_ENCODING', message);

/** Note text of a checkpoint (C2SP tlog-checkpoint): three lines, never extension lines. @throws CryptoError BAD_ENCODING */
export function formatCheckpoint({ origin, size, root }: Checkpoint): string {
  if (origin === '' || /\n/.test(origin)) throw bad('an origin is one line that is not empty');
  if (!Number.isSafeInteger(size) || size < 0 || root.length !== 32) throw bad('not a tree head');
  return `${origin}\n${size}\n${toBase64(root)}\n`;
}

/**
 * Reads a checkpoint's text. Law: `formatCheckpoint(parseCheckpoint(t)) = t`. Stricter than C2SP in one point: extension
 * lines are refused, since no witness vouches for them.
 *
 * @throws CryptoError BAD_ENCODING
 */
export function parseCheckpoint(text: string): Checkpoint {
  const match = /^([^\n]+)\n(0|[1-9][0-9]{0,15})\n([^\n]+)\n$/.exec(text);
  if (match === null) throw bad('not the three lines of a checkpoint');
  const size = Number(match[2]);
  if (!Number.isSafeInteger(size)) throw bad('tree size beyond a safe integer');
  return { origin: match[1]!, size, root: fromBase64(match[3]!, 32) };
}

/** A log signs its head. The key's name is the origin (C2SP tlog-policy). @throws CryptoError BAD_ENCODING, BAD_KEY */
export function signCheckpoint(p: Primitives, log: Signer, checkpoint: Checkpoint): Uint8Array {
  if (log.verifier.type !== 'ed25519' || log.verifier.name !== checkpoint.origin) {
    throw new CryptoError('BAD_KEY', 'a log signs its own origin with a log key');
  }
  const text = formatCheckpoint(checkpoint);
  return formatNote({ text, signatures: [signText(p, log, text, 0)] });
}

/**
 * A witness cosigns a checkpoint (C2SP tlog-cosignature v1). The caller has verified the log's signature and consistency
 * with the last head it saw, and has made that head durable: this function only signs.
 *
 * @param note - the signed checkpoint. Signature lines in it are not covered.
 * @param timestamp - POSIX seconds.
 * @throws CryptoError BAD_ENCODING, BAD_KEY for a key of another type, BAD_VALUE for a time that is none.
 */
export function cosign(p: Primitives, witness: Signer, note: Uint8Array, timestamp: number): NoteSignature {
  if (witness.verifier.type !== 'cosignature')
    throw new CryptoError('BAD_KEY', 'a witness signs with a cosignature key');
  const { text } = parseNote(note);
  parseCheckpoint(text);
  return signText(p, witness, text, timestamp);
}

/** The note with more signature lines. A line of a key that is there already is left out: the first one stands. */
export function addSignatures(note: Uint8Array, added: readonly NoteSignature[]): Uint8Array {
  const { text, signatures }: Note = parseNote(note);
  const merged = [...signatures];
  for (const line of added) {
    const present = merged.some(({ name, keyId }) => name === line.name && bytesEqual(keyId, line.keyId));
    if (!present) merged.push(line);
  }
  return formatNote({ text, signatures: merged });
}

/** A checkpoint signed by a log of the policy, and who of the policy's witnesses cosigned it. */
export interface VerifiedCheckpoint {
  readonly checkpoint: Checkpoint;
  readonly text: string;
  readonly cosignatures: readonly { readonly witness: PolicyWitness; readonly timestamp: number }[];
  /** Whether the policy's quorum holds over these cosignatures. A caller that acts on the head must require it. */
  readonly quorum: boolean;
}

/**
 * Verifies a checkpoint against a policy: signed by one of its logs *for that log's own origin*, and each line of one of
 * its keys genuine. Whether enough witnesses signed is the result's `quorum`.
 *
 * @throws CryptoError BAD_ENCODING; BAD_SIGNATURE when no log of the policy signed for this origin, or a known key's line
 *   does not verify.
 */
export function openCheckpoint(p: Primitives, note: Uint8Array, policy: Policy): VerifiedCheckpoint {
  const logs = policy.logs.map((log) => log.verifier);
  const witnesses = policy.witnesses.map((witness) => witness.verifier);
  const { text, verified } = openNote(p, note, [...logs, ...witnesses]);
  const checkpoint = parseCheckpoint(text);
  const byLog = (signature: VerifiedSignature): boolean => {
    return signature.verifier.name === checkpoint.origin && logs.includes(signature.verifier);
  };
  if (!verified.some(byLog)) throw new CryptoError('BAD_SIGNATURE', 'not signed by the log of this origin');
  const cosignatures = policy.witnesses.flatMap((witness) => {
    const signature = verified.find(({ verifier }) => isBy(witness.verifier, verifier));
    return signature === undefined ? [] : [{ witness, timestamp: signature.timestamp }];
  });
  const names = cosignatures.map(({ witness }) => witness.name);
  return { checkpoint, text, cosignatures, quorum: satisfies(policy, names) };
}
