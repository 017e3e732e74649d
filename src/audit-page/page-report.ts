import type { RoundSummary } from '../../protocols/audit-rounds.ts';
import { bucketWords } from '../../protocols/buckets.ts';
import { checkOfRemark } from '../../protocols/checks.ts';
import { genesisLines, pinWords, reportText } from '../audit/audit-text.ts';
import { allFindings, blobWords, checkRows, epsilons, type Report, reportJson, tallyWords } from '../audit/report.ts';
import type { PageReport, RoundRow } from './messages.ts';

function roundNotes({ attempts, masking, named, resultHash }: RoundSummary): string[] {
  const notes: string[] = [];
  if (masking === 'none') notes.push('claim (a) only: no pairwise masks, nobody signed anything about the sum');
  else if (attempts > 1) notes.push('claim (a) only: nodes confirmed more than once');
  if (named.length > 0) notes.push(`named by a recipient: ${named.join(', ')}`);
  if (resultHash !== null) notes.push(`result ${resultHash}`);
  return notes;
}

function roundRow(report: Report, round: RoundSummary, epsilon: RoundRow['epsilon']): RoundRow {
  const { number, task, cohort, uploads, attempts, charged, outcome, reason } = round;
  const held = report.blobs?.rounds.find((other) => other.round === round.round);
  return {
    number,
    task: `${task}${bucketWords(round.bucket)}`,
    outcome: reason === null ? outcome : `${outcome} (${reason})`,
    nodes: cohort === null ? `none of ${uploads}` : `${cohort} of ${uploads}`,
    attempts,
    epsilon,
    charged,
    blobs: blobWords(round, report.blobs),
    tally: held === undefined ? '' : tallyWords(held),
    notes: roundNotes(round),
  };
}

/** An audit as plain values that can be sent to the page. */
export function pageReport(report: Report): PageReport {
  const { log, verdict } = report;
  const { genesis, logId } = log.transcript;
  const costs = epsilons(report);
  return {
    verdict,
    head: log.head,
    since: log.since,
    genesis: genesis === null ? null : { id: logId, pinned: pinWords(log), lines: genesisLines(genesis) },
    leaves: log.leaves,
    findings: allFindings(report),
    checks: checkRows(report),
    remarks: log.remarks.map((remark) => ({ ...remark, check: checkOfRemark(remark.code).id })),
    rounds: log.rounds.map((round) => roundRow(report, round, costs.get(round.round) ?? null)),
    text: reportText(report),
    json: JSON.stringify(reportJson(report), null, 2),
  };
}
