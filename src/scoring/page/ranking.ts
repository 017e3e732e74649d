import { byId, element } from '../../page/elements.ts';
import type { AboutAnswer, OrganisationAnswer, OrganisationsAnswer, SignalAnswer } from '../api-types.ts';
import { read } from './client.ts';
import { bar, count, percent, signed } from './show.ts';

/** How long typing has to rest before a search is sent, in ms. */
const REST_MS = 200;

export interface Ranking {
  /** Loads the page of the list that the fields say. */
  load(): Promise<void>;
  /** Marks the organisation whose evidence is shown. */
  mark(id: string | null): void;
}

/** The list with its search, territory and pages. @param fail - told what went wrong. */
export function startRanking(about: AboutAnswer, fail: (error: unknown) => void): Ranking {
  const search = byId<HTMLInputElement>('search');
  const territory = byId<HTMLSelectElement>('territory');
  let page = 1;
  let marked: string | null = null;
  let running: AbortController | null = null;
  let waiting: number | undefined;

  const total = about.territories.reduce((sum, { organisations }) => sum + organisations, 0);
  byId('ranking-title').textContent = `Chance of ${about.outcome}`;
  byId('ranking-about').replaceChildren(
    `${count(total, 'organisation', 'organisations')} in ${count(about.territories.length, 'territory', 'territories')}, `,
    `scored ${new Date(about.scoredAt).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'short' })}. `,
    'Strongest first.',
  );
  territory.replaceChildren(
    element('option', { value: '' }, 'All of mine'),
    ...about.territories.map(({ name, organisations }) =>
      element('option', { value: name }, `${name} (${organisations.toLocaleString('en')})`),
    ),
  );
  byId('territory-field').hidden = about.territories.length < 2;

  const load = async (): Promise<void> => {
    running?.abort();
    running = new AbortController();
    const query = new URLSearchParams({ page: String(page), search: search.value.trim() });
    if (territory.value !== '') query.set('territory', territory.value);
    byId('organisations').setAttribute('aria-busy', 'true');
    const answer = await read<OrganisationsAnswer>(`organisations?${query}`, running.signal);
    show(answer);
  };
  const show = ({ matches, pages, organisations }: OrganisationsAnswer): void => {
    const list = byId('organisations');
    list.replaceChildren(...organisations.map(row));
    list.removeAttribute('aria-busy');
    mark(marked);
    const isSearch = search.value.trim() !== '' || territory.value !== '';
    byId('matches').textContent = isSearch
      ? `${count(matches, 'organisation matches', 'organisations match')}.`
      : organisations.length === 0
        ? 'There is no organisation in your territories.'
        : '';
    byId('pager').hidden = pages < 2;
    byId('page-number').textContent = `Page ${page.toLocaleString('en')} of ${pages.toLocaleString('en')}`;
    byId<HTMLButtonElement>('previous').disabled = page <= 1;
    byId<HTMLButtonElement>('next').disabled = page >= pages;
  };
  const mark = (id: string | null): void => {
    marked = id;
    for (const link of byId('organisations').querySelectorAll<HTMLAnchorElement>('a')) {
      if (link.dataset['id'] === id) link.setAttribute('aria-current', 'true');
      else link.removeAttribute('aria-current');
    }
  };
  const loadFrom = (wanted: number): void => {
    page = wanted;
    load().catch(fail);
  };
  const turnTo = (wanted: number): void => {
    loadFrom(wanted);
    byId('list').scrollIntoView();
  };
  search.oninput = () => {
    clearTimeout(waiting);
    waiting = window.setTimeout(() => loadFrom(1), REST_MS);
  };
  territory.onchange = () => loadFrom(1);
  byId('filter').onsubmit = (event) => {
    event.preventDefault();
    clearTimeout(waiting);
    loadFrom(1);
  };
  byId('previous').onclick = () => turnTo(page - 1);
  byId('next').onclick = () => turnTo(page + 1);
  return { load, mark };
}

function row(organisation: OrganisationAnswer): HTMLElement {
  const { rank, id, name, territory, probability, signals } = organisation;
  const link = element('a', { href: `#/organisation/${encodeURIComponent(id)}` }, name);
  link.dataset['id'] = id;
  return element(
    'li',
    {},
    element('span', { class: 'rank' }, element('span', { class: 'hidden' }, 'Rank '), String(rank)),
    element('div', { class: 'who' }, link, element('small', {}, id === name ? territory : `${id} \u00b7 ${territory}`)),
    element('div', { class: 'chance' }, element('b', {}, percent(probability)), bar(probability)),
    element('ul', { class: 'signals', 'aria-label': 'Strongest signals' }, ...signals.map(chip)),
  );
}

function chip({ text, contribution }: SignalAnswer): HTMLElement {
  const direction = contribution < 0 ? 'down' : 'up';
  return element('li', { class: direction }, element('b', {}, signed(contribution)), ` ${text}`);
}
