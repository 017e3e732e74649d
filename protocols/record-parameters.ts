import { CryptoError } from '../crypto/errors.ts';
import { checkParameters } from '../crypto/params.ts';
import { type Rejection, reject } from './errors.ts';
import type { RoundRecord } from './record.ts';

/**
 * Derives the record's payload parameters again from what they must carry.
 *
 * @returns PARAMETERS_MISMATCH unless every one of them is equal to its derivation, else null.
 */
export function parametersFit(record: RoundRecord): Rejection | null {
  if (record.parameters.members !== record.members.length) {
    return reject('PARAMETERS_MISMATCH', 'n is not the number of members listed');
  }
  try {
    checkParameters(record.parameters);
    return null;
  } catch (error) {
    if (error instanceof CryptoError) return reject('PARAMETERS_MISMATCH', error.message);
    throw error;
  }
}
