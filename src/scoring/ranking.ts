import { formatCsv, makeTable } from '../learning/table.ts';
import { type CalibrationBand, calibrationText } from './calibration.ts';
import type { Organisation, Scores, Signal } from './scores.ts';

export interface RankingRequest {
  readonly scores: Scores;
  /** Best so many. */
  readonly top: number;
  /** Signals of each. */
  readonly signals: number;
  readonly outcome: string;
  readonly modelHash: string;
  readonly calibration: readonly CalibrationBand[] | null;
}

/** `opened 14 e-mails in 30 days (+0.80)`. A number that rounds to zero has no sign. */
function signalText({ text, contribution }: Signal): string {
  return `${text} (${signed(contribution)})`;
}

export function signed(value: number): string {
  const digits = Math.abs(value).toFixed(2);
  if (digits === '0.00') return digits;
  return `${value < 0 ? '-' : '+'}${digits}`;
}

/** Signals whose part is at least 0.005, so that it does not read as nothing. */
export function tellingSignals(signals: readonly Signal[]): Signal[] {
  return signals.filter(({ contribution }) => Math.abs(contribution) >= 0.005);
}

/** The best of a table, as rows of plain values. */
function rankedRows({ scores, top, signals }: RankingRequest) {
  return scores.organisations.slice(0, top).map((organisation, i) => {
    const evidence = scores.evidence(organisation, signals);
    return { rank: i + 1, organisation, evidence, signals: tellingSignals(evidence.signals) };
  });
}

/** One object: what was scored by what, and the ranked organisations with their evidence. */
export function rankingJson(request: RankingRequest): string {
  const { scores, outcome, modelHash, calibration } = request;
  const ranked = rankedRows(request).map(({ rank, organisation, evidence, signals }) => ({
    rank,
    ...identityOf(organisation),
    probability: organisation.probability,
    logOdds: organisation.logOdds,
    reference: evidence.reference,
    referenceProbability: evidence.referenceProbability,
    signals,
    calibration: calibrationText(calibration, organisation.probability),
  }));
  const of = scores.organisations.length;
  return `${JSON.stringify({ outcome, modelHash, organisations: of, calibration, ranked }, null, 2)}\n`;
}

/**
 * A table for spreadsheets. Text that a spreadsheet would run as a formula gets an apostrophe before it (OWASP, CSV
 * Injection): names come from outside.
 */
export function rankingCsv(request: RankingRequest): string {
  const rows = rankedRows(request);
  const columns = new Map<string, string[]>([
    ['rank', rows.map(({ rank }) => String(rank))],
    ['id', rows.map(({ organisation }) => inertCell(organisation.id))],
    ['organisation', rows.map(({ organisation }) => inertCell(organisation.name))],
    ['territory', rows.map(({ organisation }) => inertCell(organisation.territory))],
    ['probability', rows.map(({ organisation }) => organisation.probability.toFixed(4))],
    ['log_odds', rows.map(({ organisation }) => organisation.logOdds.toFixed(4))],
    ['compared_with', rows.map(({ evidence }) => evidence.reference)],
  ]);
  for (let i = 0; i < request.signals; i++) {
    columns.set(
      `signal_${i + 1}`,
      rows.map(({ signals }) =>
        signals
          .slice(i, i + 1)
          .map((signal) => inertCell(signalText(signal)))
          .join(''),
      ),
    );
  }
  return formatCsv(makeTable('ranking', columns));
}

/** Lines for a terminal. */
export function rankingLines(request: RankingRequest): string[] {
  const { scores, outcome, calibration } = request;
  const rows = rankedRows(request);
  const place = String(rows.length).length;
  const lines = [`Chance of ${outcome}: the first ${rows.length} of ${scores.organisations.length} organisations.`, ''];
  for (const { rank, organisation, signals } of rows) {
    const { name, id, territory, probability } = organisation;
    const who = [name, ...(name === id ? [] : [id]), ...(scores.territories.size > 1 ? [territory] : [])].join(', ');
    lines.push(`${String(rank).padStart(place)}  ${percent(probability)}  ${who}`);
    for (const signal of signals) lines.push(`${' '.repeat(place + 2)}${signed(signal.contribution)}  ${signal.text}`);
  }
  const [first] = rows;
  if (first !== undefined) {
    lines.push(
      '',
      `Numbers are log-odds against ${wordsOfReference(scores, first.evidence.reference)}: +0.69 doubles the odds.`,
    );
    const told = calibrationText(calibration, first.organisation.probability);
    lines.push(calibration === null ? told : `${first.organisation.name}: ${told}`);
  }
  return lines;
}

function wordsOfReference(scores: Scores, first: string): string {
  return scores.territories.size > 1 ? "the average of the organisation's territory" : first;
}

/** `87.3 %`, six characters; never 0 or 100, which no model knows. */
function percent(probability: number): string {
  return `${(100 * Math.min(0.999, Math.max(0.001, probability))).toFixed(1).padStart(4)} %`;
}

function identityOf({ id, name, territory }: Organisation) {
  return { id, name, territory };
}

function inertCell(cell: string): string {
  return /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
}
