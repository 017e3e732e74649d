import { toBase64 } from '../../crypto/encoding.ts';
import type { SignedCheckpoint } from '../log/log-store.ts';
import { type Html, html } from './html.ts';
import type { RoundRow, RoundState } from './rounds-view.ts';

/** Rounds on one page; older ones are in the log. */
const MAX_ROWS = 100;

const PHASES: readonly RoundState[] = ['open', 'closed', 'confirmed', 'decided', 'released'];

/** Powers of 1024 with one decimal, e.g. `3.2 MiB`. */
function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${power === 0 ? value : value.toFixed(1)} ${units[power]}`;
}

/** How far a round has come: one mark per phase, told in words as well. An abort gives its reason instead. */
function progress(row: RoundRow): Html {
  const reached = PHASES.indexOf(row.state);
  const marks = PHASES.map((_, i) => html`<i class="${i <= reached ? 'on' : 'off'}"></i>`);
  const detail =
    row.state === 'aborted'
      ? html`<small>${row.reason}</small>`
      : html`<span class="marks" aria-hidden="true">${marks}</span>`;
  return html`<span class="${row.state}"><b>${row.state}</b>${detail}</span>`;
}

function roundRow(row: RoundRow): Html {
  // Before the first close there is no cohort yet.
  const short = row.attempts > 0 && row.cohort < row.minCohort ? 'below' : 'enough';
  return html`<tr>
<td class="n">${row.openLeaf}</td>
<th scope="row"><code title="${row.id}">${row.id.slice(0, 12)}</code><small>${row.task}</small></th>
<td>${progress(row)}</td>
<td class="n">${row.uploads}</td>
<td class="n ${short}">${row.attempts > 0 ? row.cohort : '\u2013'}<small>min ${row.minCohort}</small></td>
<td class="n">${row.attempts}</td>
<td class="n">${row.epsilon === null ? '\u2013' : row.epsilon.toFixed(3)}</td>
<td class="n">${formatBytes(row.bytes)}</td>
</tr>`;
}

function logHead(origin: string, published: SignedCheckpoint | undefined): Html {
  if (published === undefined) {
    return html`<p class="wait">No checkpoint has been cosigned yet: nothing is published.</p>`;
  }
  const { checkpoint, cosignatures } = published;
  return html`<dl>
<div><dt>Log</dt><dd>${origin}</dd></div>
<div><dt>Entries</dt><dd>${checkpoint.size}</dd></div>
<div><dt>Root</dt><dd><code>${toBase64(checkpoint.root)}</code></dd></div>
<div><dt>Cosigned by</dt><dd>${cosignatures.length} ${cosignatures.length === 1 ? 'witness' : 'witnesses'}</dd></div>
</dl>`;
}

/** What the page is made of. */
export interface RoundsPage {
  readonly origin: string;
  readonly published: SignedCheckpoint | undefined;
  readonly rows: readonly RoundRow[];
}

/** The read-only page of rounds: no script, no form, no link that changes anything. */
export function renderRoundsPage({ origin, published, rows }: RoundsPage): Html {
  const shown = rows.slice(0, MAX_ROWS);
  const ended = rows.filter(({ state }) => state === 'released' || state === 'aborted').length;
  const table =
    shown.length === 0
      ? html`<p class="wait">No round has been opened yet.</p>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Rounds"><table>
<caption>${rows.length} ${rows.length === 1 ? 'round' : 'rounds'}, ${rows.length - ended} running${
          rows.length > shown.length ? `; the newest ${shown.length} are shown` : ''
        }</caption>
<thead><tr><th scope="col" class="n">Leaf</th><th scope="col">Round</th><th scope="col">State</th>
<th scope="col" class="n">Uploads</th><th scope="col" class="n">Cohort</th><th scope="col" class="n">Attempts</th>
<th scope="col" class="n">\u03b5 charged</th><th scope="col" class="n">Payload</th></tr></thead>
<tbody>${shown.map(roundRow)}</tbody></table></div>`;
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Rounds \u2013 Veilsum</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/rounds.css"></head>
<body><header><h1>Veilsum</h1><p>Sums of encrypted updates, one opening per round, every act in a log that anyone can verify.</p></header>
<main><section aria-label="Log">${logHead(origin, published)}</section>
<section aria-labelledby="rounds"><h2 id="rounds">Rounds</h2>${table}</section></main>
<footer><p>Do not take this page's word for it: fetch <a href="/checkpoint">the checkpoint</a> and the tiles, and run
<code>veilsum audit</code>.</p></footer></body></html>
`;
}
