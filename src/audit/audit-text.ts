import type { AuditResult, Head } from '../../protocols/audit.ts';
import type { BlobAudit, RoundBlobs } from '../../protocols/audit-blobs.ts';
import type { RoundSummary } from '../../protocols/audit-rounds.ts';
import { CHECKS, checkOfRemark } from '../../protocols/checks.ts';
import { printable } from './printable.ts';

/** A whole audit: the log's files, and the blobs where they were given. */
export interface Report {
  readonly log: AuditResult;
  readonly blobs: BlobAudit | null;
  readonly verdict: AuditResult['verdict'];
}

const VERDICTS = {
  verified: 'verdict: verified (nothing was found that breaks a rule)',
  violation: 'verdict: violation (this log breaks its own rules, or is not what its checkpoint says)',
  undecided: 'verdict: cannot decide (files of the log are missing, so it is neither verified nor refuted)',
} as const;

/** 2.5 for 2,500,000,000 units of 1e-9. */
function rho(nano: number): string {
  return String(nano / 1e9);
}

function headLines(title: string, head: Head): string[] {
  const cosigners = head.cosigners.map(({ name, timestamp }) => {
    return `  cosigned by ${printable(name)} at ${new Date(timestamp * 1000).toISOString()}`;
  });
  return [`${title}: ${printable(head.origin)}, ${head.size} leaves, root ${head.root}`, ...cosigners];
}

/** Checks about files and heads: done whatever the leaves say. The others need every leaf. */
const OF_FILES: readonly number[] = [2, 3, 4, 5, 6];

/** What was found under a check, in a word or two. */
function stateOf(report: Report, check: (typeof CHECKS)[number]): string {
  const { log, blobs } = report;
  const found = [...log.findings, ...(blobs?.findings ?? [])].filter((finding) => finding.check === check.id);
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

function checkLines(report: Report): string[] {
  return CHECKS.flatMap((check) => {
    const reasons = report.log.notChecked
      .filter((entry) => entry.check === check.id)
      .map(({ why }) => `${' '.repeat(24)}${why}`);
    return [`  ${String(check.id).padStart(2)}  ${stateOf(report, check).padEnd(18)}  ${check.sentence}`, ...reasons];
  });
}

function findingLines(report: Report): string[] {
  const all = [...report.log.findings, ...(report.blobs?.findings ?? [])];
  return all.flatMap(({ check, code, index, sentence, why }) => [
    `  ${code}  ${index === null ? 'files' : `leaf ${index}`}  check ${check ?? '-'}`,
    `    rule:  ${sentence}`,
    `    found: ${printable(why)}`,
  ]);
}

function blobLine(blobs: RoundBlobs): string {
  const parts = Object.entries(blobs.tallies).map(([kind, { named, recomputed }]) => `${kind} ${recomputed}/${named}`);
  const said = blobs.sum === null ? 'no sum was opened' : `sum ${blobs.sum}`;
  return `      blobs: ${said} (recomputed of named: ${parts.join(', ')})`;
}

function roundLines(round: RoundSummary, blobs: BlobAudit | null): string[] {
  const { number, task, cohort, uploads, attempts, chargeRhoNano, charged, spentRhoNano, leftRhoNano } = round;
  const outcome = round.reason === null ? round.outcome : `${round.outcome} (${round.reason})`;
  const nodes =
    cohort === null ? `${uploads} uploads, no set decided` : `${cohort} nodes in the sum of ${uploads} uploads`;
  const cost = `${charged ? 'charged' : 'not charged'} rho ${rho(chargeRhoNano)}; spent ${rho(spentRhoNano)}, left ${rho(leftRhoNano)}`;
  const lines = [
    `  round ${number} of ${printable(task)}: ${outcome}`,
    `      ${nodes}, ${attempts} attempt${attempts === 1 ? '' : 's'}; ${cost}; approvals: ${round.approvals} (not claimed)`,
  ];
  if (attempts > 1) {
    lines.push('      claim (a) only: nodes confirmed more than once, so their masks alone no longer hide them');
  }
  if (round.resultHash !== null) lines.push(`      result ${round.resultHash}`);
  if (round.named.length > 0) lines.push(`      named by a recipient: ${printable(round.named.join(', '))}`);
  const held = blobs?.rounds.find((other) => other.round === round.round);
  lines.push(held === undefined ? '      blobs: not recomputed (none were given)' : blobLine(held));
  return lines;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', title, ...lines];
}

/** The report a person reads. Every text of a stranger's goes through `printable`. */
export function reportText(report: Report): string {
  const { log, blobs } = report;
  const genesis = log.transcript.genesis;
  const evidence = log.findings.some(({ code }) => code === 'SPLIT_VIEW' || code === 'ROLLED_BACK');
  const lines: string[] = [VERDICTS[report.verdict]];
  if (log.head !== null) lines.push(...headLines('head', log.head));
  if (log.since !== null) lines.push(...headLines(evidence ? 'evidence, the earlier head' : 'earlier head', log.since));
  if (genesis !== null) {
    const { minimums, threshold, members, cosigning, budget } = genesis;
    const pinned = log.genesisPinned ? 'as pinned' : 'not pinned: the log’s own';
    lines.push(
      `genesis ${log.transcript.logId} (${pinned})`,
      `  quorum ${threshold} of ${members.length}; ${cosigning.needed} of ${cosigning.witnesses} cosign, ${cosigning.faulty} may be corrupt`,
      `  at least ${minimums.cohort} nodes of ${minimums.organisations} organisations, ${minimums.honest} of them honest`,
      `  budget rho ${rho(budget.rhoNano)} per ${budget.unit}: epsilon ${budget.epsilonMicro / 1e6} at delta 1e-${budget.deltaExponent}`,
    );
  }
  const where = (index: number | null): string => (index === null ? '' : ` (leaf ${index})`);
  const remarks = log.remarks.map(({ code, index, text }) => {
    return `  ${code}  check ${checkOfRemark(code).id}${where(index)}: ${printable(text)}`;
  });
  lines.push(...section('Found', findingLines(report)));
  lines.push(...section('Checks', checkLines(report)));
  lines.push(...section('Remarks, which are no violations', remarks));
  lines.push(
    ...section(
      'Rounds',
      log.rounds.flatMap((round) => roundLines(round, blobs)),
    ),
  );
  if (blobs !== null && blobs.models.named > 0) {
    lines.push('', `Sealed models: ${blobs.models.recomputed} of ${blobs.models.named} there with their hash`);
  }
  return `${lines.join('\n')}\n`;
}
