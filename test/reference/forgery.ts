import type { RejectionCode } from '../../protocols/errors.ts';
import type { Body } from '../../protocols/leaves.ts';
import { emptyTranscript } from '../../protocols/patch.ts';
import type { RoundRecord } from '../../protocols/record.ts';
import { NO_LOG } from '../../protocols/verified.ts';
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

/** A log that has no leaf yet. */
export function beforeGenesis(): PaperLog {
  return Object.assign(new PaperLog(), { leaves: [], transcript: emptyTranscript() });
}

/** A genesis that differs from the honest one, signed by its root key. */
export function badGenesis(
  code: RejectionCode,
  what: string,
  over: (honest: Body<'genesis'>, log: PaperLog) => Partial<Body<'genesis'>>,
): Forgery {
  return forgery(code, what, () => {
    const log = beforeGenesis();
    const honest = log.genesis();
    const forged = { ...honest, ...over(honest, log) };
    return {
      log,
      forged: log.leaf('root', 'genesis', forged, NO_LOG),
      honest: log.leaf('root', 'genesis', honest, NO_LOG),
    };
  });
}
