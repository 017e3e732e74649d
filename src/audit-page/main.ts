import { byId, element } from './elements.ts';
import { makeFields } from './fields.ts';
import type { Answer, PageReport, Request } from './messages.ts';
import { failure, reportView } from './view.ts';

/** A page that allows no text to become code must name the one exception: the worker that it carries itself. */
interface TrustedTypes {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): { createScriptURL(url: string): string };
}

function startWorker(): Worker {
  const source = new Blob([byId('worker-source').textContent], { type: 'text/javascript' });
  const { trustedTypes } = globalThis as { trustedTypes?: TrustedTypes };
  const rules = { createScriptURL: (url: string) => url };
  const policy = trustedTypes?.createPolicy('veilsum-worker', rules) ?? rules;
  const url = policy.createScriptURL(URL.createObjectURL(source));
  return new Worker(url);
}

const start = byId<HTMLButtonElement>('start');
const stop = byId<HTMLButtonElement>('stop');
const hint = byId('hint');
const bar = byId<HTMLProgressElement>('bar');
const result = byId('result');

const fields = makeFields(() => {
  const ready = fields.log.value() !== null && fields.policy.value() !== null && fields.genesis.value() !== undefined;
  start.disabled = !ready || running !== null;
  hint.textContent = ready ? '' : 'Choose a log folder and a policy file.';
});
byId('inputs').append(...Object.values(fields).map(({ card }) => card));

let running: Worker | null = null;

function setRunning(worker: Worker | null): void {
  running?.terminate();
  running = worker;
  start.disabled = worker !== null;
  stop.hidden = worker === null;
  byId('progress').hidden = worker === null;
}

function saveButton(label: string, name: string, type: string, content: string): HTMLElement {
  const button = element('button', { type: 'button' }, label);
  button.addEventListener('click', () => {
    const url = URL.createObjectURL(new Blob([content], { type }));
    element('a', { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  });
  return button;
}

function actionsOf({ text, json }: PageReport): HTMLElement {
  const print = element('button', { type: 'button' }, 'Print');
  print.addEventListener('click', () => window.print());
  return element(
    'div',
    { class: 'actions no-print' },
    saveButton('Save as text', 'audit.txt', 'text/plain', text),
    saveButton('Save as JSON', 'audit.json', 'application/json', json),
    print,
  );
}

function show(answer: Answer): void {
  if (answer.kind === 'progress') {
    byId('doing').textContent = answer.doing;
    if (answer.done === null) bar.removeAttribute('value');
    else bar.value = answer.done;
    return;
  }
  setRunning(null);
  if (answer.kind === 'failed') result.replaceChildren(failure(answer.message));
  else result.replaceChildren(...reportView(answer.report, actionsOf(answer.report)));
  result.focus();
}

byId<HTMLFormElement>('form').addEventListener('submit', (event) => {
  event.preventDefault();
  const log = fields.log.value();
  const policy = fields.policy.value();
  const genesis = fields.genesis.value();
  if (log === null || policy === null || genesis === undefined || running !== null) return;
  const kernel = byId('kernel-base64').textContent.trim();
  const request: Request = { log, policy, genesis, blobs: fields.blobs.value(), since: fields.since.value(), kernel };
  result.replaceChildren();
  bar.value = 0;
  byId('doing').textContent = 'Reading';
  const worker = startWorker();
  worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => show(data));
  worker.addEventListener('error', ({ message }) => show({ kind: 'failed', message }));
  worker.postMessage(request);
  setRunning(worker);
});

stop.addEventListener('click', () => setRunning(null));
// What is dropped beside a card would otherwise replace the page.
for (const kind of ['dragover', 'drop']) window.addEventListener(kind, (event) => event.preventDefault());
