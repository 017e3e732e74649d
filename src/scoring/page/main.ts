import { byId } from '../../page/elements.ts';
import type { AboutAnswer } from '../api-types.ts';
import { keepToken, keptToken, Refusal, read } from './client.ts';
import { showEvidence } from './evidence.ts';
import { type Ranking, startRanking } from './ranking.ts';
import { showSummaries } from './summaries.ts';

/** What is known once a token was taken. */
let session: { readonly about: AboutAnswer; readonly ranking: Ranking } | null = null;

function fail(error: unknown): void {
  if ((error as Error).name === 'AbortError') return; // a newer request is on its way
  if (error instanceof Refusal && error.status === 401) {
    signOut(error.message);
    return;
  }
  const fault = byId('fault');
  fault.textContent = error instanceof Refusal ? error.message : 'The page failed. Load it again.';
  fault.hidden = false;
}

function signOut(why = ''): void {
  keepToken(null);
  session = null;
  for (const id of ['nav', 'who', 'ranking-view', 'summaries-view', 'fault']) byId(id).hidden = true;
  // What the token read must not stay on the screen of whoever comes next.
  for (const id of ['organisations', 'detail', 'summary', 'seller']) byId(id).replaceChildren();
  byId('sign-in').hidden = false;
  byId('sign-in-fault').textContent = why;
  byId<HTMLInputElement>('search').value = '';
  byId<HTMLInputElement>('token').focus();
}

async function signIn(): Promise<void> {
  const about = await read<AboutAnswer>('about');
  const ranking = startRanking(about, fail);
  session = { about, ranking };
  byId('sign-in').hidden = true;
  byId<HTMLInputElement>('token').value = '';
  byId('sign-in-fault').textContent = '';
  byId('seller').textContent = about.seller;
  for (const id of ['nav', 'who']) byId(id).hidden = false;
  await ranking.load();
  await route();
}

/** Shows what the address says after its `#`. */
async function route(): Promise<void> {
  if (session === null) return;
  const { about, ranking } = session;
  const organisation = /^#\/organisation\/(.+)$/.exec(location.hash)?.[1];
  const isSummaries = location.hash === '#/summaries';
  byId('fault').hidden = true;
  byId('ranking-view').hidden = isSummaries;
  byId('summaries-view').hidden = !isSummaries;
  for (const [id, isHere] of [
    ['to-ranking', !isSummaries],
    ['to-summaries', isSummaries],
  ] as const) {
    if (isHere) byId(id).setAttribute('aria-current', 'page');
    else byId(id).removeAttribute('aria-current');
  }
  const view = byId('ranking-view');
  view.classList.toggle('chosen', organisation !== undefined);
  const id = organisation === undefined ? null : decodeURIComponent(organisation);
  ranking.mark(id);
  if (isSummaries) {
    document.title = 'Summaries – Veilsum';
    await showSummaries(about, fail);
    byId('content').focus({ preventScroll: true });
  } else if (id === null) {
    document.title = 'Scores \u2013 Veilsum';
    byId('detail').hidden = true;
    byId('choose').hidden = false;
  } else {
    byId('detail').hidden = true;
    await showEvidence(id, about.outcome);
    byId('choose').hidden = true;
    document.title = `${byId('detail-title').textContent} \u2013 Veilsum`;
    byId('detail').focus({ preventScroll: true });
    // Where there is no room for both, the evidence is in place of the list.
    if (byId('list').offsetParent === null) window.scrollTo(0, 0);
  }
}

byId('sign-in').addEventListener('submit', (event) => {
  event.preventDefault();
  keepToken(byId<HTMLInputElement>('token').value.trim());
  signIn().catch(fail);
});
byId('leave').addEventListener('click', () => signOut());
window.addEventListener('hashchange', () => void route().catch(fail));

if (keptToken() === null) signOut();
else signIn().catch(fail);
