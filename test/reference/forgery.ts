import type { RejectionCode } from '../../protocols/errors.ts';
import type { RoundRecord } from '../../protocols/record.ts';
import { PaperLog, type PaperSetting } from './paper-log.ts';

/** One way to break one rule, by somebody who holds every key there is. */
export interface Forgery {
  readonly code: RejectionCode;
  readonly what: string;
  make(): {
    /** The history before it, all of it in order. */
    readonly log: PaperLog;
    readonly forged: Uint8Array;
    /** What an honest party would have written there: the control. Null where there is nothing to write. */
    readonly honest: Uint8Array | null;
  };
}

type Step = Parameters<PaperLog['until']>[0];
/** A log up to a step of its first round. */
export const at = (step: Step, setting: Partial<PaperSetting> = {}): PaperLog => PaperLog.founded(setting).until(step);

export function forgery(code: RejectionCode, what: string, make: Forgery['make']): Forgery {
  return { code, what, make };
}

/** A record that differs from the honest one, opened by the coordinator. */
export function badRecord(
  code: RejectionCode,
  what: string,
  over: (record: RoundRecord, log: PaperLog) => Partial<RoundRecord>,
  setting: Partial<PaperSetting> = {},
): Forgery {
  return forgery(code, what, () => {
    const log = PaperLog.founded(setting);
    const record = log.record(log.announced(1));
    const forged = log.leaf('coordinator', 'open', { record: { ...record, ...over(record, log) } });
    return { log, forged, honest: log.leaf('coordinator', 'open', { record }) };
  });
}
