import { type AuditInput, type AuditResult, auditing } from '../../protocols/audit.ts';
import type { Round } from '../../protocols/transcript.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { printable } from './printable.ts';
import { temporaryBins } from './temporary-bins.ts';

/** Why nothing is reported from a log. */
export type UnverifiedCode = 'NOT_VERIFIED' | 'FILES_MISSING';

/**
 * Reads a log as its auditor does, and keeps of every round what a report needs, in the order of their open leaves.
 *
 * @param keep - of a round with all its leaves.
 * @param refuse - makes the error that is thrown where the log does not verify.
 */
export function readVerified<T>(
  input: Omit<AuditInput, 'newBins'>,
  keep: (round: Round) => T,
  refuse: (code: UnverifiedCode, why: string) => Error,
): { readonly result: AuditResult; readonly rounds: T[] } {
  using files = new DisposableStack();
  const audited = auditing(nodePrimitives, { ...input, newBins: () => files.use(temporaryBins()) });
  // A log that is read a second time gives its rounds again: the last word about each counts.
  const seen = new Map<string, T>();
  for (let step = audited.next(); ; step = audited.next()) {
    if (step.done !== true) {
      seen.set(step.value.id, keep(step.value));
      continue;
    }
    const result = step.value;
    if (result.verdict !== 'verified') throw refuse(...refusalOf(result));
    return { result, rounds: [...result.transcript.rounds.keys()].map((id) => seen.get(id)!) };
  }
}

function refusalOf({ verdict, findings }: AuditResult): [UnverifiedCode, string] {
  const first = findings[0]!;
  const where = first.index === null ? 'files' : `leaf ${first.index}`;
  const isMissing = verdict === 'undecided';
  const what = isMissing
    ? 'files of the log are missing'
    : 'the log breaks its own rules, or is not what its checkpoint says';
  return [
    isMissing ? 'FILES_MISSING' : 'NOT_VERIFIED',
    `${what} (${first.code}, ${where}: ${printable(first.why)}): nothing is reported from it; 'veilsum audit' says more`,
  ];
}
