import { addChecksums, createChecksum } from '../crypto/checksum.ts';
import { fromHex } from '../crypto/encoding.ts';
import { CryptoError } from '../crypto/errors.ts';
import type { PayloadContext } from '../crypto/payload.ts';
import { isRejection, type Rejection, reject } from './errors.ts';
import { isOneShot } from './one-shot.ts';
import type { Attempt } from './transcript.ts';

/** What bytes that coordinator and aggregators made together can be beside wrong: of another length or form. */
const MALFORMED: ReadonlySet<string> = new Set(['BAD_LENGTH', 'BAD_ENCODING', 'RESIDUE_OUT_OF_RANGE']);

/** Reads bytes that were decided over. The log holds their hash, so malformed ones are final: nothing mends them. */
export function readSum<T>(read: () => T): T | Rejection {
  try {
    return read();
  } catch (error) {
    if (error instanceof CryptoError && MALFORMED.has(error.code))
      return reject('SUM_MALFORMED', 'what was decided over is no sum of payloads or corrections of this round');
    throw error;
  }
}

/**
 * A summed payload whose checksum is what the nodes' signed checksums add up to: the aggregator cannot have changed it. In a round
 * without masks nobody signs one: it is then a sum by its form alone, and only who adds the payloads up again knows more.
 */
export class CheckedSum {
  /** Hash of the close leaf that it is the sum of. */
  readonly close: string;
  /** Wire bytes of block j. */
  readonly block: (block: number) => Uint8Array;

  private constructor(close: string, block: (block: number) => Uint8Array) {
    this.close = close;
    this.block = block;
  }

  /**
   * Checks the sum of an attempt that all of U confirmed. No answer of a member is needed for it.
   *
   * @param block - wire bytes of block j; the same ones whenever it is asked.
   * @returns CHECKSUM_MISMATCH or SUM_MALFORMED where it is another sum.
   */
  static of(context: PayloadContext, attempt: Attempt, block: (block: number) => Uint8Array): CheckedSum | Rejection {
    using checksum = createChecksum(context, fromHex(attempt.close, 32));
    const blocks = Array.from({ length: context.parameters.blocks }, (_, j) => j);
    const read = readSum(() => blocks.map((j) => checksum.add(j, block(j))));
    if (isRejection(read)) return read;
    if (isOneShot(attempt)) return new CheckedSum(attempt.close, block);
    const theirs = attempt.cohort.map((upload) => Uint32Array.from(attempt.confirms.get(upload.node)!.body.checksum));
    const expected = addChecksums(context.parameters, theirs);
    const isSame = checksum.value().every((residue, i) => residue === expected[i]);
    if (isSame) return new CheckedSum(attempt.close, block);
    return reject('CHECKSUM_MISMATCH', 'the sum is not the sum of what the nodes confirmed');
  }
}
