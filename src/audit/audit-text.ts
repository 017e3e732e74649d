import type { Head } from '../../protocols/audit.ts';
import type { BlobAudit } from '../../protocols/audit-blobs.ts';
import type { RoundSummary } from '../../protocols/audit-rounds.ts';
import { bucketWords } from '../../protocols/buckets.ts';
import { checkOfRemark } from '../../protocols/checks.ts';
import type { Body } from '../../protocols/leaves.ts';
import { printable, utcTime } from './printable.ts';
import {
  allFindings,
  blobWords,
  checkRows,
  epsilons,
  type Report,
  type RoundEpsilon,
  tallyWords,
  VERDICTS,
} from './report.ts';

/** Remarks of one kind that are written out; of the others the leaves are named. */
const SAME_REMARKS = 3;

/** 2.5 for 2,500,000,000 units of 1e-9. */
function rho(nano: number): string {
  return String(nano / 1e9);
}

function headLines(title: string, head: Head): string[] {
  const cosigners = head.cosigners.map(({ name, timestamp }) => {
    return `  cosigned by ${printable(name)} at ${utcTime(timestamp)}`;
  });
  return [`${title}: ${printable(head.origin)}, ${head.size} leaves, root ${head.root}`, ...cosigners];
}

/** A signed note as it was read, a line of it on each line. */
function noteLines(title: string, { note }: Head): string[] {
  return [`  ${title}`, ...note.split('\n').map((line) => `    ${printable(line)}`)];
}

function checkLines(report: Report): string[] {
  return checkRows(report).flatMap(({ check, state, sentence, why }) => [
    `  ${String(check).padStart(2)}  ${state.padEnd(18)}  ${sentence}`,
    ...why.map((reason) => `${' '.repeat(26)}${reason}`),
  ]);
}

function findingLines(report: Report): string[] {
  return allFindings(report).flatMap(({ check, code, index, sentence, why }) => [
    `  ${code}  ${index === null ? 'files' : `leaf ${index}`}  check ${check ?? '-'}`,
    `    rule:  ${sentence}`,
    `    found: ${printable(why)}`,
  ]);
}

/** Of a round's charge alone, and of everything spent until its end. */
function epsilonWords(epsilon: RoundEpsilon | undefined): string {
  return epsilon === undefined ? '' : ` (epsilon ${epsilon.ofRound.toFixed(3)}, ${epsilon.spent.toFixed(3)} in all)`;
}

/** The weaker claim of a round without masks, and how far behind its updates were. */
function unmaskedLines({ staleness }: RoundSummary): string[] {
  const claim = '      claim (a) only: no pairwise masks (masking: none); nobody signed anything about the sum';
  if (staleness === null || staleness.length === 0) return [claim];
  const counts = [...Map.groupBy(staleness, (models) => models)].sort(([a], [b]) => a - b);
  const words = counts.map(([models, nodes]) => `${models} behind: ${nodes.length}`);
  return [claim, `      updates by models behind the round's: ${words.join(', ')}`];
}

function roundLines(round: RoundSummary, blobs: BlobAudit | null, epsilon?: RoundEpsilon): string[] {
  const { number, task, cohort, uploads, attempts, chargeRhoNano, charged, spentRhoNano, leftRhoNano } = round;
  const outcome = round.reason === null ? round.outcome : `${round.outcome} (${round.reason})`;
  const nodes =
    cohort === null ? `${uploads} uploads, no set decided` : `${cohort} nodes in the sum of ${uploads} uploads`;
  const cost = charged
    ? `charged rho ${rho(chargeRhoNano)}; spent ${rho(spentRhoNano)}, left ${rho(leftRhoNano)}${epsilonWords(epsilon)}`
    : `not charged (its rho of ${rho(chargeRhoNano)} was set aside and given back)`;
  const lines = [
    `  round ${number}${bucketWords(round.bucket)} of ${printable(task)}: ${outcome}`,
    `      ${nodes}, ${attempts} attempt${attempts === 1 ? '' : 's'}; ${cost}; approvals: ${round.approvals} (not claimed)`,
  ];
  if (attempts > 1 && round.masking === 'pairwise') {
    lines.push('      claim (a) only: nodes confirmed more than once, so their masks alone no longer hide them');
  }
  if (round.masking === 'none') lines.push(...unmaskedLines(round));
  if (round.resultHash !== null) lines.push(`      result ${round.resultHash}`);
  if (round.named.length > 0) lines.push(`      named by a recipient: ${printable(round.named.join(', '))}`);
  const held = blobs?.rounds.find((other) => other.round === round.round);
  const tally = held === undefined ? '' : ` (recomputed of named: ${tallyWords(held)})`;
  lines.push(`      blobs: ${blobWords(round, blobs)}${tally}`);
  return lines;
}

/** What the report's own words mean, where they occur: SECURITY.md says more. */
function unclaimedWords({ log }: Report): string[] {
  const words = [
    "  not claimed: this version does not promise it, so there is nothing to check (SECURITY.md, 'Not claimed')",
  ];
  if (log.rounds.some(({ attempts, masking }) => attempts > 1 || masking === 'none'))
    words.push(
      '  claim (a) only: what one node sent is hidden from fewer than t members, but no longer from all of them together',
    );
  return words;
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ['', title, ...lines];
}

/** What genesis fixes: quorum, cosigning, minimums, budget. */
export function genesisLines({ minimums, threshold, members, cosigning, budget }: Body<'genesis'>): string[] {
  return [
    `quorum ${threshold} of ${members.length}; ${cosigning.needed} of ${cosigning.witnesses} cosign, ${cosigning.faulty} may be corrupt`,
    `at least ${minimums.cohort} nodes of ${minimums.organisations} organisations, ${minimums.honest} of them honest`,
    `budget rho ${rho(budget.rhoNano)} per ${budget.unit}: epsilon ${budget.epsilonMicro / 1e6} at delta 1e-${budget.deltaExponent}${budget.renyiOrder === undefined ? '' : ` (rho: Renyi divergence of order ${budget.renyiOrder}, over it)`}`,
  ];
}

/** Whether genesis is the one that the auditor knew. */
export function pinWords({ genesisPinned, findings }: Report['log']): string {
  if (genesisPinned) return 'as pinned';
  return findings.some(({ code }) => code === 'GENESIS_PIN')
    ? 'not the one that was pinned'
    : "not pinned: the log's own";
}

/** The report a person reads. Every text of a stranger's goes through `printable`. */
export function reportText(report: Report): string {
  const { log, blobs } = report;
  const genesis = log.transcript.genesis;
  const evidence = log.findings.some(({ code, index }) => code === 'SPLIT_VIEW' && index === null);
  const lines: string[] = [`verdict: ${VERDICTS[report.verdict]}`];
  if (log.head !== null) lines.push(...headLines('head', log.head));
  if (log.since !== null) lines.push(...headLines(evidence ? 'evidence, the earlier head' : 'earlier head', log.since));
  if (genesis !== null) {
    lines.push(
      `genesis ${log.transcript.logId} (${pinWords(log)})`,
      ...genesisLines(genesis).map((line) => `  ${line}`),
    );
  }
  const where = (index: number | null): string => (index === null ? '' : ` (leaf ${index})`);
  const remarks = [...Map.groupBy(log.remarks, ({ code }) => code)].flatMap(([code, all]) => {
    const shown = all.slice(0, SAME_REMARKS).map(({ index, text }) => {
      return `  ${code}  check ${checkOfRemark(code).id}${where(index)}: ${printable(text)}`;
    });
    const rest = all.slice(SAME_REMARKS).map(({ index }) => index ?? '-');
    return rest.length === 0 ? shown : [...shown, `  ${code}  and ${rest.length} more (leaves ${rest.join(', ')})`];
  });
  const words = unclaimedWords(report);
  lines.push(...section('Found', findingLines(report)));
  if (evidence && log.head !== null && log.since !== null) {
    const title = 'Evidence: two signed heads of one log that cannot both be true';
    lines.push(...section(title, [...noteLines('the earlier', log.since), ...noteLines("the folder's", log.head)]));
  }
  lines.push(...section('Checks', checkLines(report)));
  lines.push(...section('Remarks, which are no violations', remarks));
  const costs = epsilons(report);
  const rounds = log.rounds.flatMap((round) => roundLines(round, blobs, costs.get(round.round)));
  lines.push(...section('Rounds', rounds));
  const restored = log.transcript.models.flatMap(({ number, restores, index }) =>
    restores === undefined ? [] : [`  model ${number} is model ${restores} again (leaf ${index})`],
  );
  lines.push(...section('Models that were rolled back', restored));
  lines.push(...section('Words', words));
  if (blobs !== null && blobs.models.named > 0) {
    lines.push('', `Sealed models: ${blobs.models.recomputed} of ${blobs.models.named} there with their hash`);
  }
  return `${lines.join('\n')}\n`;
}
