import { SecretBytes, wipe } from '../../crypto/secret.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import { type OneShot, RoundSecrets } from '../../protocols/node.ts';
import type { Round } from '../../protocols/transcript.ts';
import { StoreError } from '../store/errors.ts';
import { decodeParts, encodeParts } from './parts.ts';
import type { RoundFiles } from './round-files.ts';

/** One file, so that a crash leaves an upload with its secrets or neither: leaf, payload's hash, key, H(m), mask key. */
const UPLOAD = 'upload';

export function hasUpload(files: RoundFiles, round: string): boolean {
  return files.has(round, UPLOAD);
}

export function writeUpload(
  files: RoundFiles,
  round: string,
  leaf: Uint8Array,
  payloadHash: string,
  secrets: RoundSecrets,
): void {
  const key = new Uint8Array(secrets.key.buffer, secrets.key.byteOffset, secrets.key.byteLength);
  const shown = [leaf, new TextEncoder().encode(payloadHash)];
  const kept = encodeParts([...shown, key, secrets.updateHash.bytes, secrets.maskSecret.bytes]);
  files.write(round, UPLOAD, kept);
  wipe(kept);
}

/** @throws ProtocolError KEY_LOST */
export function readUpload(
  files: RoundFiles,
  round: string,
): { leaf: Uint8Array; payloadHash: string; secrets: RoundSecrets } {
  const kept = files.read(round, UPLOAD);
  if (kept === null) throw new ProtocolError('KEY_LOST', 'the one-time key of the round is gone');
  const [leaf, payloadHash, key, updateHash, maskSecret] = decodeParts(kept);
  wipe(kept);
  const secrets = new RoundSecrets(
    new Int16Array(key!.buffer, key!.byteOffset, key!.length / 2),
    new SecretBytes('update hash', updateHash!),
    new SecretBytes('mask key', maskSecret!),
  );
  return { leaf: leaf!, payloadHash: new TextDecoder().decode(payloadHash), secrets };
}

/** What an upload of a round without masks shares its key with: the fresh seed, correction and boxes. Kept before the upload itself. */
const SHARING = 'sharing';

export function writeSharing(files: RoundFiles, round: string, fresh: SecretBytes, made: OneShot): void {
  const kept = encodeParts([fresh.bytes, made.correction, ...made.boxes.map(({ sealed }) => sealed)]);
  files.write(round, SHARING, kept);
  wipe(kept);
}

/** What goes out with the upload; null in a round with masks. @throws ProtocolError KEY_LOST */
export function readSharing(
  files: RoundFiles,
  { id, record }: Round,
): { correction: Uint8Array; boxes: { holder: string; sealed: Uint8Array }[] } | null {
  if (record.masking !== 'none') return null;
  const [fresh, correction, ...sealed] = sharingParts(files, id);
  wipe(fresh!);
  const holders = [...record.members, ...record.recipients];
  return { correction: correction!, boxes: sealed.map((bytes, i) => ({ holder: holders[i]!.name, sealed: bytes })) };
}

/** The seed that a second box is sealed from. @throws ProtocolError KEY_LOST */
export function sharingSeed(files: RoundFiles, round: string): SecretBytes {
  return new SecretBytes('round seed', sharingParts(files, round)[0]!);
}

function sharingParts(files: RoundFiles, round: string): Uint8Array[] {
  const kept = files.read(round, SHARING);
  if (kept === null) throw new ProtocolError('KEY_LOST', 'the seed of the upload is gone');
  const parts = decodeParts(kept);
  wipe(kept);
  return parts;
}

/** Hash of a payload that was prepared; null where a crash left the file wiped, in whole or in part. */
export function payloadOf(files: RoundFiles, round: string): string | null {
  try {
    const kept = files.read(round, UPLOAD);
    if (kept === null) return null;
    const parts = decodeParts(kept);
    const hash = new TextDecoder().decode(parts[1]);
    for (const part of [kept, ...parts]) wipe(part);
    return hash === '' ? null : hash;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'CORRUPT') return null;
    throw error;
  }
}
