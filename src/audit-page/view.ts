import type { Head } from '../../protocols/audit.ts';
import type { Finding } from '../../protocols/findings.ts';
import { utcTime } from '../audit/printable.ts';
import { element, stranger } from './elements.ts';
import type { PageReport, RoundRow } from './messages.ts';

const VERDICT = {
  verified: ['✓ Verified', 'Nothing was found that breaks a rule.'],
  violation: ['✗ Violation', 'This log breaks its own rules, or is not what its checkpoint says.'],
  undecided: ['? Cannot decide', 'Files of the log are missing, so it is neither verified nor refuted.'],
} as const;

function banner(kind: string, title: string, words: string): HTMLElement {
  return element(
    'div',
    { class: `verdict ${kind}`, role: 'status' },
    element('b', {}, title),
    element('span', {}, words),
  );
}

/** What is shown when there was nothing to audit. */
export function failure(message: string): HTMLElement {
  return banner('failed', 'The audit could not be made', stranger(message));
}

function headFacts(title: string, head: Head): HTMLElement[] {
  const cosigners = head.cosigners.map(({ name, timestamp }) => {
    return `${stranger(name)} (${utcTime(timestamp)})`;
  });
  return [
    element('dt', {}, title),
    element('dd', {}, `${stranger(head.origin)}, ${head.size} leaves, root `, element('code', {}, head.root)),
    element('dt', {}, 'Cosigned by'),
    element('dd', {}, ...(cosigners.length === 0 ? ['nobody'] : cosigners.map((line) => element('div', {}, line)))),
  ];
}

function facts({ head, since, genesis, leaves }: PageReport): HTMLElement {
  const list = element('dl', {});
  if (head !== null) list.append(...headFacts('Head', head));
  if (since !== null) list.append(...headFacts('Earlier head', since));
  list.append(element('dt', {}, 'Leaves judged'), element('dd', {}, String(leaves)));
  if (genesis !== null) {
    const lines = genesis.lines.map((line) => element('div', {}, line));
    list.append(element('dt', {}, 'Genesis'));
    list.append(element('dd', {}, element('code', {}, genesis.id), ` (${genesis.pinned})`, ...lines));
  }
  return list;
}

function findingCard({ code, index, check, sentence, why }: Finding): HTMLElement {
  const where = `${index === null ? 'in the files' : `leaf ${index}`}, check ${check ?? '-'}`;
  return element(
    'article',
    { class: 'finding' },
    element('h3', {}, element('code', {}, code), ' ', element('span', { class: 'where' }, where)),
    element('p', {}, `Rule: ${sentence}`),
    element('p', {}, `Found: ${stranger(why)}`),
  );
}

function table(
  caption: string,
  heads: readonly (readonly [string, string])[],
  rows: readonly HTMLElement[],
): HTMLElement {
  const head = element('tr', {}, ...heads.map(([text, kind]) => element('th', { scope: 'col', class: kind }, text)));
  const made = element('table', {}, element('caption', {}, caption), element('thead', {}, head));
  made.append(element('tbody', {}, ...rows));
  return element('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption }, made);
}

function stateKind(state: string): string {
  if (state === 'checked' || state === 'recomputed') return 'good';
  if (state === 'VIOLATED') return 'bad';
  return state === 'not claimed' ? 'none' : 'part';
}

function checksTable({ checks }: PageReport): HTMLElement {
  const rows = checks.map(({ check, sentence, state, why }) =>
    element(
      'tr',
      {},
      element('td', { class: 'n' }, String(check)),
      element('td', {}, sentence, ...why.map((reason) => element('small', {}, reason))),
      element('td', { class: `state ${stateKind(state)}` }, state),
    ),
  );
  const heads = [
    ['No.', 'n'],
    ['Rule', ''],
    ['State', ''],
  ] as const;
  return table('Every numbered check, and what became of it', heads, rows);
}

function fixed(value: number | undefined): string {
  return value === undefined ? '-' : value.toFixed(3);
}

/** Two rows of the table: figures, then what needs width. */
function roundRows(round: RoundRow): HTMLElement[] {
  const { number, task, outcome, nodes, attempts, epsilon, charged, blobs, tally, notes } = round;
  const figures = element(
    'tr',
    {},
    element('th', { class: 'n', scope: 'row' }, String(number)),
    element('td', {}, stranger(task)),
    element('td', {}, outcome),
    element('td', { class: 'n' }, nodes),
    element('td', { class: 'n' }, String(attempts)),
    element('td', { class: 'n' }, fixed(epsilon?.ofRound), element('small', {}, charged ? '' : 'not charged')),
    element('td', { class: 'n' }, fixed(epsilon?.spent)),
  );
  const ciphertexts = `ciphertexts: ${blobs}${tally === '' ? '' : `; recomputed of named: ${tally}`}`;
  const lines = [...notes, ciphertexts].map((line) => element('small', {}, stranger(line)));
  return [figures, element('tr', { class: 'more' }, element('td', {}), element('td', { colspan: '6' }, ...lines))];
}

function roundsTable({ rounds }: PageReport): HTMLElement {
  const heads = [
    ['Round', 'n'],
    ['Task', ''],
    ['Outcome', ''],
    ['Nodes in sum', 'n'],
    ['Attempts', 'n'],
    ['ε of it', 'n'],
    ['ε so far', 'n'],
  ] as const;
  return table(
    'ε at the delta of genesis: of the round alone, and of all charges until it',
    heads,
    rounds.flatMap(roundRows),
  );
}

function section(title: string, ...children: readonly HTMLElement[]): HTMLElement {
  return element('section', {}, element('h2', {}, title), ...children);
}

/** Check numbers by what keeps them from being checked in full: `In part: 3, 6.` */
function weakerChecks({ checks }: PageReport): string[] {
  const byState = new Map<string, number[]>();
  for (const { check, state } of checks) {
    if (['checked', 'recomputed', 'VIOLATED'].includes(state)) continue;
    byState.set(state, [...(byState.get(state) ?? []), check]);
  }
  return [...byState].map(
    ([state, numbers]) => `Check${numbers.length === 1 ? '' : 's'} ${numbers.join(', ')}: ${state}.`,
  );
}

/** The whole report. Findings first: they are what one looks for. */
export function reportView(report: PageReport, actions: HTMLElement): HTMLElement[] {
  const { verdict, findings, remarks, rounds } = report;
  const [title, words] = VERDICT[verdict];
  const shown = [banner(verdict, title, [words, ...weakerChecks(report)].join(' '))];
  if (findings.length > 0) shown.push(section(`Found (${findings.length})`, ...findings.map(findingCard)));
  shown.push(facts(report), actions, section('Checks', checksTable(report)));
  if (rounds.length > 0) shown.push(section('Rounds', roundsTable(report)));
  if (remarks.length > 0) {
    const items = remarks.map(({ code, check, index, text }) => {
      const where = index === null ? `check ${check}` : `check ${check}, leaf ${index}`;
      return element('li', {}, element('code', {}, code), ' ', element('span', {}, where), ` ${stranger(text)}`);
    });
    shown.push(section('Remarks, which are no violations', element('ul', { class: 'remarks' }, ...items)));
  }
  return shown;
}
