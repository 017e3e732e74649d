import { epsilonInLog } from '../../protocols/accountant.ts';
import type { AuditResult } from '../../protocols/audit.ts';
import type { BlobAudit, RoundBlobs } from '../../protocols/audit-blobs.ts';
import type { RoundSummary } from '../../protocols/audit-rounds.ts';
import { CHECKS, type Check } from '../../protocols/checks.ts';
import type { Finding } from '../../protocols/findings.ts';

/** A whole audit: the log's files, and the blobs where they were given. Pure: the page in a browser shows the same. */
export interface Report {
  readonly log: AuditResult;
  readonly blobs: BlobAudit | null;
  readonly verdict: AuditResult['verdict'];
}

/** Blobs that do not fit make a violation of a log that stands by itself. */
export function reportOf(log: AuditResult, blobs: BlobAudit | null): Report {
  const found = (blobs?.findings.length ?? 0) > 0;
  return { log, blobs, verdict: found ? 'violation' : log.verdict };
}

export const VERDICTS = {
  verified: 'verified (nothing was found that breaks a rule)',
  violation: 'violation (this log breaks its own rules, or is not what its checkpoint says)',
  undecided: 'cannot decide (files of the log are missing, so it is neither verified nor refuted)',
} as const;

/** What became of one numbered check, with the reasons why it says less than it could. */
export interface CheckRow {
  readonly check: number;
  readonly sentence: string;
  readonly state: string;
  readonly why: readonly string[];
}

export function allFindings({ log, blobs }: Report): Finding[] {
  return [...log.findings, ...(blobs?.findings ?? [])];
}

/** Checks about files and heads: done whatever the leaves say. The others need every leaf. */
const OF_FILES: readonly number[] = [2, 3, 4, 5, 6];

/** What was found under a check, in a word or two. */
function stateOf(report: Report, check: Check): string {
  const { log, blobs } = report;
  const found = allFindings(report).filter((finding) => finding.check === check.id);
  if (found.some(({ code }) => code !== 'FILE_MISSING')) return 'VIOLATED';
  if (check.notClaimed !== undefined) return 'not claimed';
  if (check.id === 15) return blobState(blobs);
  const read = OF_FILES.includes(check.id) || log.leaves === log.head?.size;
  if (log.head === null || found.length > 0 || !read) return 'not decided';
  return log.notChecked.some((entry) => entry.check === check.id) ? 'in part' : 'checked';
}

function blobState(blobs: BlobAudit | null): string {
  const decided = blobs?.rounds.filter(({ sum }) => sum !== null) ?? [];
  if (decided.length === 0) return 'not recomputed';
  const done = decided.filter(({ sum }) => sum === 'recomputed').length;
  return done === decided.length ? 'recomputed' : done === 0 ? 'not recomputed' : 'recomputed in part';
}

export function checkRows(report: Report): CheckRow[] {
  return CHECKS.map((check) => ({
    check: check.id,
    sentence: check.sentence,
    state: stateOf(report, check),
    why: report.log.notChecked.filter((entry) => entry.check === check.id).map(({ why }) => why),
  }));
}

/** Privacy of a round in people's terms, at the delta of genesis: of its charge alone, and of all spent until it. */
export interface RoundEpsilon {
  readonly ofRound: number;
  readonly spent: number;
}

/** @returns by round id. Empty without genesis. */
export function epsilons({ log }: Report): Map<string, RoundEpsilon> {
  const budget = log.transcript.genesis?.budget;
  if (budget === undefined) return new Map();
  const known = new Map<number, number>();
  const epsilon = (rhoNano: number): number => {
    const value = known.get(rhoNano) ?? epsilonInLog(budget, rhoNano);
    known.set(rhoNano, value);
    return value;
  };
  return new Map(
    log.rounds.map(({ round, chargeRhoNano, spentRhoNano }) => {
      return [round, { ofRound: epsilon(chargeRhoNano), spent: epsilon(spentRhoNano) }];
    }),
  );
}

/** Without masks no node signs a checksum: which check a sum had is said, and that it had none. */
function unmaskedSum(sum: NonNullable<RoundBlobs['sum']>): string {
  if (sum === 'recomputed') return 'checked by adding up again';
  return sum === 'different' ? 'not what the payloads add up to' : 'so not checked: whoever adds up can shift it';
}

/** What the blobs of a round showed, in words. */
export function blobWords(round: RoundSummary, blobs: BlobAudit | null): string {
  const held = blobs?.rounds.find((other) => other.round === round.round);
  if (held === undefined && round.masking === 'none' && round.charged)
    return `not recomputed (none were given), ${unmaskedSum('not recomputed')}`;
  if (held === undefined) return 'not recomputed (none were given)';
  if (held.sum === null) return 'no sum was opened';
  return round.masking === 'none' ? `sum ${held.sum}, ${unmaskedSum(held.sum)}` : `sum ${held.sum}`;
}

/** Blobs that were there and computed again, of those that the log names. */
export function tallyWords({ tallies }: RoundBlobs): string {
  return Object.entries(tallies)
    .map(([kind, { named, recomputed }]) => `${kind} ${recomputed}/${named}`)
    .join(', ');
}

/** The report as one JSON value, for machines. */
export function reportJson(report: Report): object {
  const { log, blobs, verdict } = report;
  const { transcript, findings: _, ...rest } = log;
  return {
    ...rest,
    verdict,
    genesis: transcript.genesis === null ? null : transcript.logId,
    findings: allFindings(report),
    blobs: blobs === null ? 'not recomputed' : { rounds: blobs.rounds, models: blobs.models },
    checks: checkRows(report),
  };
}
