import { CryptoError } from '../crypto/errors.ts';
import { setCount } from '../crypto/params.ts';
import { addResidues, packResidues, reduceResidues, unpackResidues } from '../crypto/residues.ts';
import { boxBytes } from '../crypto/share-box.ts';
import { type Rejection, reject } from './errors.ts';
import type { Body, Leaf } from './leaves.ts';
import { isShared } from './one-shot.ts';
import type { RoundRecord } from './record.ts';
import { decisionOf, type Round, type Transcript } from './transcript.ts';

/**
 * What an aggregator does with what it is sent. It holds no key: it checks sizes and ranges, adds, and hands on. (The
 * adding of payloads is `createSum` of crypto/payload.ts, block by block.)
 */

/** Adds up z_i over U: packed residues in, packed residues out. The order never matters. */
export function addCorrections(record: RoundRecord, corrections: Iterable<Uint8Array>): Uint8Array {
  const { ringDegree, maskModulusBits } = record.parameters;
  const sum = new Uint16Array(ringDegree);
  for (const packed of corrections) addResidues(sum, unpackResidues(packed, maskModulusBits, ringDegree));
  return packResidues(reduceResidues(sum, maskModulusBits), maskModulusBits);
}

/** Whether z_i has the form that the round asks for. */
export function checkCorrection(record: RoundRecord, packed: Uint8Array): Rejection | null {
  const { ringDegree, maskModulusBits } = record.parameters;
  try {
    unpackResidues(packed, maskModulusBits, ringDegree);
    return null;
  } catch (error) {
    if (error instanceof CryptoError) return reject('MALFORMED', 'the correction is not N packed residues');
    throw error;
  }
}

/** A box as a node sends it. */
interface HolderBox {
  readonly holder: string;
  readonly sealed: Uint8Array;
}

/** Whether boxes have the size that their holders' seeds take. What a node seals is kept, and nothing else bounds it. */
export function checkBoxSizes(record: RoundRecord, boxes: readonly HolderBox[]): Rejection | null {
  const { members, recipients, parameters } = record;
  const ofMember = boxBytes(setCount(members.length - 1, parameters.threshold));
  const isOf = ({ holder, sealed }: HolderBox): boolean =>
    sealed.length === (recipients.some(({ name }) => name === holder) ? boxBytes(1) : ofMember);
  return boxes.every(isOf) ? null : reject('BOXES_MISMATCH', "a box is not of its holder's size");
}

/** The round in which a holder complained of a confirmation. */
export function roundOfComplaint(t: Transcript, confirm: string, holder: string): Round | undefined {
  return [...t.rounds.values()].find(({ attempts }) =>
    attempts.some(({ complaints }) => complaints.get(confirm)?.has(holder) === true),
  );
}

/** Whether the boxes that came with a confirm or one-shot leaf are the ones it names, in order. */
export function checkBoxes(
  sha256Hex: (bytes: Uint8Array) => string,
  body: Pick<Body<'confirm'>, 'boxes'>,
  boxes: readonly HolderBox[],
): Rejection | null {
  const same =
    boxes.length === body.boxes.length &&
    boxes.every((box, i) => {
      const named = body.boxes[i]!;
      return named.holder === box.holder && named.hash === sha256Hex(box.sealed);
    });
  return same ? null : reject('BOXES_MISMATCH', 'the boxes are not those that the confirm leaf names');
}

interface Sharing {
  readonly correction: Uint8Array;
  readonly boxes: readonly HolderBox[];
}

/** Whether what shares a key is what its leaf, a confirmation or an upload without masks, says of it. */
export function checkSharing(
  sha256Hex: (bytes: Uint8Array) => string,
  record: RoundRecord,
  body: Pick<Body<'confirm'>, 'correctionHash' | 'boxes'>,
  { correction, boxes }: Sharing,
): Rejection | null {
  if (sha256Hex(correction) !== body.correctionHash)
    return reject('PAYLOAD_HASH', 'not the correction that the leaf names');
  return checkCorrection(record, correction) ?? checkBoxes(sha256Hex, body, boxes) ?? checkBoxSizes(record, boxes);
}

/** What shares a key comes with the upload in a round without masks, and with the confirmation in every other. */
export function checkUploadSharing(
  sha256Hex: (bytes: Uint8Array) => string,
  t: Transcript,
  leaf: Leaf<'upload'> | Leaf<'one-shot'>,
  sharing: Sharing | undefined,
): Rejection | null {
  if (!('seeds' in leaf.body))
    return sharing === undefined
      ? null
      : reject('MASKING_MISMATCH', 'in a round with masks a key is shared with the confirmation');
  if (sharing === undefined)
    return reject('BOXES_MISMATCH', 'the upload does not bring what its leaf says of its sharing');
  return checkSharing(sha256Hex, t.rounds.get(leaf.body.round)!.record, leaf.body, sharing);
}

/** Hashes of the payloads that were uploaded to a round. */
export function payloadHashesOf(round: Round): string[] {
  return [...round.uploads.values()].map(({ body }) => body.payloadHash);
}

/** Hashes of every other blob that the round's leaves name. */
export function otherHashesOf(round: Round): string[] {
  const attempts = round.attempts.flatMap(({ sumHash, confirms, complaints }) => [
    sumHash,
    ...[...confirms.values()].flatMap(({ body }) => [body.correctionHash, ...body.boxes.map((box) => box.hash)]),
    ...[...complaints.values()].flatMap((by) => [...by.values()].flatMap(({ resealed }) => resealed ?? [])),
  ]);
  // Also of uploads that came into no attempt.
  for (const { shared } of [...round.uploads.values()].filter(isShared))
    attempts.push(shared.correctionHash, ...shared.boxes.map((box) => box.hash));
  const decision = decisionOf(round);
  if (decision === null) return attempts;
  const answers = [...decision.answers.values()].flatMap(({ body }) => body.sealed.map((box) => box.hash));
  return [...attempts, decision.body.correctionSumHash, ...answers];
}
