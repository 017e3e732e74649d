import { byId, element } from '../../page/elements.ts';
import type { EvidenceAnswer, SignalAnswer } from '../api-types.ts';
import { read } from './client.ts';
import { count, percent, signed } from './show.ts';

/** Shows one organisation with all that moved its score. */
export async function showEvidence(id: string, outcome: string): Promise<void> {
  const answer = await read<EvidenceAnswer>(`organisations/${encodeURIComponent(id)}`);
  const { name, territory, rank, of, probability, calibration, reference, referenceProbability, signals } = answer;
  const detail = byId('detail');
  detail.replaceChildren(
    element('a', { href: '#/', class: 'back' }, '\u2190 Ranking'),
    element('h2', { id: 'detail-title' }, name),
    element(
      'p',
      { class: 'soft' },
      `${id === name ? '' : `${id} \u00b7 `}${territory} \u00b7 rank ${rank.toLocaleString('en')} of ${of.toLocaleString('en')}`,
    ),
    element('p', { class: 'figure' }, element('b', {}, percent(probability)), ` chance of ${outcome}`),
    element('p', { class: 'soft' }, calibration),
    element('h3', {}, 'Why'),
    element('p', { class: 'soft' }, `Against ${reference}, at ${percent(referenceProbability)}:`),
    signals.length === 0 ? element('p', { class: 'note' }, 'Nothing sets it apart.') : signalTable(signals),
    element(
      'p',
      { class: 'soft small' },
      `Numbers are log-odds: +0.69 doubles the odds, \u22120.69 halves them. ${count(signals.length, 'signal leads', 'signals lead')} from ${percent(referenceProbability)} to ${percent(probability)}. They say what the model looked at, not what causes the outcome.`,
    ),
  );
  detail.hidden = false;
}

function signalTable(signals: readonly SignalAnswer[]): HTMLElement {
  const largest = Math.max(...signals.map(({ contribution }) => Math.abs(contribution)));
  return element(
    'table',
    { class: 'parts' },
    element('caption', { class: 'hidden' }, 'Signals, the strongest first'),
    element(
      'thead',
      { class: 'hidden' },
      element('tr', {}, element('th', { scope: 'col' }, 'Signal'), element('th', { scope: 'col' }, 'Effect')),
    ),
    element('tbody', {}, ...signals.map((signal) => signalRow(signal, largest))),
  );
}

/** A bar from the middle, to the right for what speaks for the outcome. */
function signalRow({ text, contribution }: SignalAnswer, largest: number): HTMLElement {
  const fill = element('i', { class: contribution < 0 ? 'down' : 'up' });
  fill.style.width = `${(50 * Math.abs(contribution)) / largest}%`;
  const track = element('span', { class: 'track', 'aria-hidden': 'true' }, fill);
  return element(
    'tr',
    {},
    element('th', { scope: 'row' }, text, track),
    element('td', { class: contribution < 0 ? 'down' : 'up' }, signed(contribution)),
  );
}
