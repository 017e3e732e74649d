import { CryptoError } from '../crypto/errors.ts';
import { addResidues, packResidues, reduceResidues, unpackResidues } from '../crypto/residues.ts';
import { type Rejection, reject } from './errors.ts';
import type { Body } from './leaves.ts';
import type { RoundRecord } from './record.ts';

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

/** Whether the boxes that came with a confirm leaf are the ones it names, in order and of the right size. */
export function checkBoxes(
  sha256Hex: (bytes: Uint8Array) => string,
  body: Body<'confirm'>,
  boxes: readonly { readonly holder: string; readonly sealed: Uint8Array }[],
): Rejection | null {
  const same =
    boxes.length === body.boxes.length &&
    boxes.every((box, i) => {
      const named = body.boxes[i]!;
      return named.holder === box.holder && named.hash === sha256Hex(box.sealed);
    });
  return same ? null : reject('BOXES_MISMATCH', 'the boxes are not those that the confirm leaf names');
}
