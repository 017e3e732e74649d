import { DOMAIN } from '../crypto/domain.ts';
import {
  bytesEqual,
  canonicalBytes,
  concat,
  fromBase64,
  fromHex,
  type Json,
  parseCanonical,
  toBase64,
  toHex,
  u32be,
  utf8,
} from '../crypto/encoding.ts';
import { CryptoError } from '../crypto/errors.ts';
import { open, seal } from '../crypto/hpke.ts';
import type { Primitives, Rng } from '../crypto/primitives.ts';
import { SecretBytes } from '../crypto/secret.ts';
import { infoWithLabel } from '../crypto/signature.ts';
import { type Rejection, reject } from './errors.ts';
import type { Party, Transcript } from './transcript.ts';

/**
 * A model on its way to the nodes: one random key, sealed to each node (HPKE, X-Wing), and the model under it
 * (AES-256-GCM). Format: u32be length of the header, header in canonical JSON, ciphertext.
 */

const MAX_HEADER_BYTES = 1 << 22;
const NONCE = new Uint8Array(12); // the key is used once

/** The most bytes that a sealed model has: length of the header, header, model, AES-GCM's tag. */
export function sealedModelBytesMax(modelBytes: number): number {
  return 4 + MAX_HEADER_BYTES + modelBytes + 16;
}

function keyInfo(log: string, modelHash: string, name: string): Uint8Array {
  return infoWithLabel(DOMAIN.modelBox, fromHex(log, 32), fromHex(modelHash, 32), utf8(name));
}

/** Who may read models: enrolled nodes and recipients that are not revoked. */
export function readersOf(t: Transcript): Party[] {
  return [...t.parties.values()].filter((party) => party.kemKey !== null && !party.revoked);
}

/** Seals a model to every reader. @returns the sealed file; its SHA-256 goes into the model leaf. */
export function sealModel(p: Primitives, rng: Rng, t: Transcript, model: Uint8Array): Uint8Array {
  const modelHash = toHex(p.sha256(model));
  using key = new SecretBytes('model file key', rng(32));
  const keys: Record<string, string> = {};
  for (const { name, kemKey } of readersOf(t)) {
    const info = keyInfo(t.logId, modelHash, name);
    keys[name] = toBase64(seal(p, rng, fromBase64(kemKey!, 1216), info, new Uint8Array(0), key.bytes));
  }
  const header = canonicalBytes({ v: 1, modelHash, keys });
  return concat(u32be(header.length), header, p.aes256GcmSeal(key.bytes, NONCE, header, model));
}

/**
 * Opens a sealed model.
 *
 * @param expectedHash - the model's hash in the log. @param kem - the reader's X-Wing seed. Not wiped here.
 * @returns the model; UNKNOWN_MODEL where the file holds no key for this reader, who was enrolled after it was sealed;
 *   MODEL_MISMATCH for anything that is not that model sealed to this reader.
 */
export function openModel(
  p: Primitives,
  kem: SecretBytes,
  log: string,
  name: string,
  sealed: Uint8Array,
  expectedHash: string,
): Uint8Array | Rejection {
  const mismatch = reject('MODEL_MISMATCH', 'the file is not the logged model sealed to this party');
  try {
    if (sealed.length < 4) return mismatch;
    const length = new DataView(sealed.buffer, sealed.byteOffset, 4).getUint32(0);
    if (length > MAX_HEADER_BYTES || 4 + length > sealed.length) return mismatch;
    const header = sealed.subarray(4, 4 + length);
    const keys = fieldOf(parseCanonical(header, MAX_HEADER_BYTES), 'keys');
    if (typeof keys !== 'object') return mismatch;
    const box = fieldOf(keys, name);
    if (box === undefined) return reject('UNKNOWN_MODEL', 'the model was sealed before this party was enrolled');
    if (typeof box !== 'string') return mismatch;
    const opened = open(p, kem, keyInfo(log, expectedHash, name), new Uint8Array(0), fromBase64(box));
    using key = new SecretBytes('model file key', opened);
    const model = p.aes256GcmOpen(key.bytes, NONCE, header, sealed.subarray(4 + length));
    return bytesEqual(p.sha256(model), fromHex(expectedHash, 32)) ? model : mismatch;
  } catch (error) {
    if (error instanceof CryptoError) return mismatch;
    throw error;
  }
}

/** A field of what the file's sender wrote: any JSON at all. Undefined where there is none, or no object. */
function fieldOf(json: Json, name: string): Json | undefined {
  if (typeof json !== 'object' || json === null || !Object.hasOwn(json, name)) return undefined;
  return (json as { readonly [key: string]: Json })[name];
}
