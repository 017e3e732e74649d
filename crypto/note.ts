import { bytesEqual, concat, fromBase64, fromHex, fromUtf8, toBase64, toHex, u64be, utf8 } from './encoding.ts';
import { CryptoError } from './errors.ts';
import type { Primitives } from './primitives.ts';
import type { SecretBytes } from './secret.ts';

/** Longest note that is parsed, and most signatures in one: a bound on work, above what C2SP asks for (16). */
export const MAX_NOTE_BYTES = 65_536;
const MAX_SIGNATURES = 100;

/** Signature types of C2SP signed-note that this project speaks, with their identifier bytes. */
const KEY_TYPE_BYTE = { ed25519: 0x01, cosignature: 0x04 } as const;
export type KeyType = keyof typeof KEY_TYPE_BYTE;
/** Bytes of a signature line's payload after the key ID. A cosignature is u64be POSIX seconds || Ed25519 signature. */
const SIGNATURE_BYTES = { ed25519: 64, cosignature: 72 } as const;

/** A public key that notes are verified with. Name and key ID together identify it in a note. */
export interface Verifier {
  readonly name: string;
  readonly type: KeyType;
  /** 32 bytes, Ed25519. Small-order and non-canonical keys are refused when a signature is verified. */
  readonly publicKey: Uint8Array;
  /** First four bytes of SHA-256(name || "\n" || type || public key). An identifier, not a binding. */
  readonly keyId: Uint8Array;
}

/** A key that signs notes. The seed belongs to the caller, who wipes it. */
export interface Signer {
  readonly verifier: Verifier;
  readonly seed: SecretBytes;
}

/** One signature line, not yet verified. */
export interface NoteSignature {
  readonly name: string;
  readonly keyId: Uint8Array;
  readonly signature: Uint8Array;
}

/** A note taken apart. `text` ends in a newline. */
export interface Note {
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

/** A signature that verified. `timestamp`, POSIX seconds, is 0 where the type has none. */
export interface VerifiedSignature {
  readonly verifier: Verifier;
  readonly timestamp: number;
}

const bad = (message: string): CryptoError => new CryptoError('BAD_ENCODING', message);

/** U+0000..U+001F but newline: C2SP signed-note refuses them. */
function hasControl(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit < 0x20 && unit !== 0x0a) return true;
  }
  return false;
}

function requireName(name: string): void {
  if (name === '' || /[\p{White_Space}+]/u.test(name) || hasControl(name)) throw bad('not a key name');
}

/** Makes a verifier and its key ID. @throws CryptoError BAD_ENCODING for a name notes cannot carry, BAD_LENGTH */
export function makeVerifier(p: Primitives, type: KeyType, name: string, publicKey: Uint8Array): Verifier {
  requireName(name);
  if (publicKey.length !== 32) throw new CryptoError('BAD_LENGTH', 'an Ed25519 public key has 32 bytes');
  const identity = concat(utf8(`${name}\n`), Uint8Array.of(KEY_TYPE_BYTE[type]), publicKey);
  return { name, type, publicKey, keyId: p.sha256(identity).slice(0, 4) };
}

/** Makes a signer from a 32-byte seed. @throws CryptoError as makeVerifier, ALREADY_WIPED */
export function makeSigner(p: Primitives, type: KeyType, name: string, seed: SecretBytes): Signer {
  return { verifier: makeVerifier(p, type, name, p.ed25519PublicKey(seed.bytes)), seed };
}

/** C2SP verifier key: `<name>+<key ID, 8 hex digits>+<base64 of type || public key>`. */
export function formatVkey(verifier: Verifier): string {
  const key = concat(Uint8Array.of(KEY_TYPE_BYTE[verifier.type]), verifier.publicKey);
  return `${verifier.name}+${toHex(verifier.keyId)}+${toBase64(key)}`;
}

/**
 * Reads a verifier key. Law: `formatVkey(parseVkey(t)) = t`.
 *
 * @throws CryptoError BAD_ENCODING for any other form, a type we do not speak, or a key ID that is not the key's.
 */
export function parseVkey(p: Primitives, text: string): Verifier {
  const match = /^([^+]+)\+([0-9a-f]{8})\+(.*)$/s.exec(text);
  if (match === null) throw bad('not a verifier key');
  const key = fromBase64(match[3]!, 33);
  const type = (Object.keys(KEY_TYPE_BYTE) as KeyType[]).find((name) => KEY_TYPE_BYTE[name] === key[0]);
  if (type === undefined) throw bad('verifier key of an unknown type');
  const verifier = makeVerifier(p, type, match[1]!, key.slice(1));
  if (!bytesEqual(verifier.keyId, fromHex(match[2]!))) throw bad('key ID of another key');
  return verifier;
}

function requireText(text: string): void {
  if (!text.endsWith('\n') || hasControl(text)) throw bad('not the text of a note');
}

/** Signature lines of a note, without the text: what a witness sends back. */
export function formatSignatures(signatures: readonly NoteSignature[]): string {
  return signatures
    .map(({ name, keyId, signature }) => `\u2014 ${name} ${toBase64(concat(keyId, signature))}\n`)
    .join('');
}

/** Reads signature lines. Law: re-encodes equal. @throws CryptoError BAD_ENCODING unless every line is one. */
export function parseSignatures(lines: string): NoteSignature[] {
  if (!lines.endsWith('\n')) throw bad('signature line without an end');
  const parts = lines.slice(0, -1).split('\n');
  if (parts.length > MAX_SIGNATURES) throw bad('too many signatures');
  return parts.map((line) => {
    const match = /^\u2014 ([^ ]+) ([^ ]+)$/.exec(line);
    if (match === null) throw bad('not a signature line');
    requireName(match[1]!);
    const payload = fromBase64(match[2]!);
    if (payload.length < 5) throw bad('signature without a signature');
    return { name: match[1]!, keyId: payload.slice(0, 4), signature: payload.slice(4) };
  });
}

/** Bytes of a note. @throws CryptoError BAD_ENCODING unless the text is one and there is a signature. */
export function formatNote({ text, signatures }: Note): Uint8Array {
  requireText(text);
  if (signatures.length === 0) throw bad('note without signatures');
  return utf8(`${text}\n${formatSignatures(signatures)}`);
}

/**
 * Takes a note apart; verifies nothing. Law: `formatNote(parseNote(b)) = b`.
 *
 * @throws CryptoError BAD_ENCODING: not UTF-8, control characters, no blank line, a line that is no signature, too long.
 */
export function parseNote(bytes: Uint8Array): Note {
  if (bytes.length > MAX_NOTE_BYTES) throw bad('note too long');
  const whole = fromUtf8(bytes);
  // The text may itself hold empty lines: the last one separates.
  const split = whole.lastIndexOf('\n\n');
  if (split < 0) throw bad('note without a blank line');
  const text = whole.slice(0, split + 1);
  requireText(text);
  return { text, signatures: parseSignatures(whole.slice(split + 2)) };
}

/** What a cosignature signs: two header lines, then the checkpoint's text (C2SP tlog-cosignature, `cosignature/v1`). */
function cosignedMessage(timestamp: bigint, text: string): Uint8Array {
  return utf8(`cosignature/v1\ntime ${timestamp}\n${text}`);
}

/**
 * Signs a text that is to become, or is, a note's. Ed25519 over the text, without a label of ours: what C2SP says. The keys
 * of notes therefore sign nothing else; and no labelled message of ours is a note's text, since it holds a NUL.
 *
 * @param timestamp - POSIX seconds of a cosignature; 0 for a log's own signature.
 * @throws CryptoError BAD_ENCODING, BAD_VALUE
 */
export function signText(p: Primitives, signer: Signer, text: string, timestamp: number): NoteSignature {
  requireText(text);
  const { name, keyId, type } = signer.verifier;
  if (type === 'ed25519') return { name, keyId, signature: p.ed25519Sign(signer.seed.bytes, utf8(text)) };
  if (!Number.isSafeInteger(timestamp) || timestamp <= 0) throw new CryptoError('BAD_VALUE', 'not POSIX seconds');
  const signature = p.ed25519Sign(signer.seed.bytes, cosignedMessage(BigInt(timestamp), text));
  return { name, keyId, signature: concat(u64be(timestamp), signature) };
}

/** Verifies one signature of a known key. Undefined, never a throw, where it does not verify. */
export function verifySignature(
  p: Primitives,
  verifier: Verifier,
  text: string,
  { signature }: NoteSignature,
): VerifiedSignature | undefined {
  if (signature.length !== SIGNATURE_BYTES[verifier.type]) return undefined;
  if (verifier.type === 'ed25519') {
    return p.ed25519Verify(verifier.publicKey, utf8(text), signature) ? { verifier, timestamp: 0 } : undefined;
  }
  const timestamp = new DataView(signature.buffer, signature.byteOffset, 8).getBigUint64(0);
  // C2SP allows up to 2^63 - 1; nothing honest is beyond a safe integer, and zero would say "no statement of time".
  if (timestamp === 0n || timestamp > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
  const genuine = p.ed25519Verify(verifier.publicKey, cosignedMessage(timestamp, text), signature.subarray(8));
  return genuine ? { verifier, timestamp: Number(timestamp) } : undefined;
}

/** True when a signature line names this key. */
export function isBy(verifier: Verifier, line: Pick<NoteSignature, 'name' | 'keyId'>): boolean {
  return verifier.name === line.name && bytesEqual(verifier.keyId, line.keyId);
}

/** A note with at least one verified signature. Lines of unknown keys are kept apart and mean nothing. */
export interface OpenedNote {
  readonly text: string;
  readonly verified: readonly VerifiedSignature[];
  readonly unverified: readonly NoteSignature[];
}

/**
 * Verifies a note against known keys. A repeated line of one key counts once; unknown keys are ignored, as C2SP asks.
 *
 * @throws CryptoError BAD_ENCODING from parsing; BAD_SIGNATURE when a known key's line does not verify, or none is known.
 */
export function openNote(p: Primitives, bytes: Uint8Array, verifiers: readonly Verifier[]): OpenedNote {
  const { text, signatures } = parseNote(bytes);
  const verified: VerifiedSignature[] = [];
  const unverified: NoteSignature[] = [];
  for (const line of signatures) {
    const known = verifiers.find((verifier) => isBy(verifier, line));
    if (known === undefined) {
      unverified.push(line);
      continue;
    }
    const signature = verifySignature(p, known, text, line);
    if (signature === undefined) throw new CryptoError('BAD_SIGNATURE', 'a known key has not signed this note');
    if (!verified.some((earlier) => earlier.verifier === known)) verified.push(signature);
  }
  if (verified.length === 0) throw new CryptoError('BAD_SIGNATURE', 'no known key has signed this note');
  return { text, verified, unverified };
}
