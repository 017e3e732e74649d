import { byId, element } from '../../page/elements.ts';
import type { AboutAnswer, SummaryAnswer } from '../api-types.ts';
import { read } from './client.ts';
import { bar, count, percent } from './show.ts';

/** Buttons for the ways to group, and the table of the one that is chosen. */
export async function showSummaries(about: AboutAnswer, fail: (error: unknown) => void): Promise<void> {
  byId('summaries-about').textContent =
    `All territories together, also those that your token does not open. Groups of fewer than ${about.least} organisations are not shown, nor any by which they could be worked out.`;
  const [first] = about.summaries;
  const holder = byId('dimensions');
  if (first === undefined) {
    byId('summary').replaceChildren(element('p', { class: 'note' }, 'No summaries are offered here.'));
    return;
  }
  const choose = async (by: string): Promise<void> => {
    const answer = await read<SummaryAnswer>(`summaries/${encodeURIComponent(by)}`);
    for (const button of holder.querySelectorAll('button'))
      button.setAttribute('aria-pressed', String(button.dataset['by'] === by));
    byId('summary').replaceChildren(summaryTable(answer, about.outcome), ...hiddenNote(answer));
  };
  holder.replaceChildren(
    element('legend', {}, 'Group by'),
    ...about.summaries.map((by) => {
      const button = element('button', { type: 'button', 'aria-pressed': 'false' }, label(by));
      button.dataset['by'] = by;
      button.onclick = () => void choose(by).catch(fail);
      return button;
    }),
  );
  await choose(first);
}

function label(by: string): string {
  return by.replaceAll('_', ' ');
}

function summaryTable({ by, groups, total }: SummaryAnswer, outcome: string): HTMLElement {
  const rows = groups.map((group) => groupRow(group.value, group));
  const foot = total === null ? [] : [element('tfoot', {}, groupRow('All', total))];
  return element(
    'div',
    { class: 'card' },
    element(
      'table',
      { class: 'groups' },
      element('caption', {}, `Mean chance of ${outcome}, by ${label(by)}`),
      element(
        'thead',
        {},
        element(
          'tr',
          {},
          element('th', { scope: 'col' }, 'Group'),
          element('th', { scope: 'col', class: 'n' }, 'Organisations'),
          element('th', { scope: 'col' }, 'Mean chance'),
        ),
      ),
      element('tbody', {}, ...rows),
      ...foot,
    ),
  );
}

function groupRow(name: string, group: { organisations: number; meanProbability: number }): HTMLElement {
  return element(
    'tr',
    {},
    element('th', { scope: 'row' }, name),
    element('td', { class: 'n' }, group.organisations.toLocaleString('en')),
    element(
      'td',
      {},
      element(
        'span',
        { class: 'chance' },
        element('b', {}, percent(group.meanProbability)),
        bar(group.meanProbability),
      ),
    ),
  );
}

function hiddenNote({ hidden, groups }: SummaryAnswer): HTMLElement[] {
  if (hidden === 0) return [];
  const words = groups.length === 0 ? 'No group may be shown' : `${count(hidden, 'group is', 'groups are')} not shown`;
  return [element('p', { class: 'soft' }, `${words}.`)];
}
