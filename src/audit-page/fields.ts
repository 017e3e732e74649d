import { type Found, filesOfDrop, filesOfInput } from './dropped.ts';
import { element, stranger } from './elements.ts';

/** One thing to choose: a card with a button, and a place to drop. */
export interface Field<T> {
  readonly card: HTMLElement;
  /** What was chosen, null before. */
  readonly value: () => T | null;
}

interface FieldText {
  readonly id: string;
  readonly title: string;
  readonly needed: boolean;
  readonly explanation: string;
  readonly button: string;
  readonly folder: boolean;
}

/** @param read - what the files mean, with a line about it; throws an Error that says why they are none. */
function chooser<T>(
  text: FieldText,
  read: (found: readonly Found[]) => { value: T; line: string },
  changed: () => void,
): Field<T> {
  const { id, title, needed, explanation, button, folder } = text;
  let value: T | null = null;
  const chosen = element('p', { class: 'chosen none', id: `${id}-chosen`, role: 'status' }, 'nothing chosen');
  const input = element('input', { type: 'file', id, 'aria-describedby': `${id}-chosen` });
  input.webkitdirectory = folder;
  const say = (line: string, none: boolean): void => {
    chosen.textContent = line;
    chosen.classList.toggle('none', none);
  };
  const take = (found: readonly Found[]): void => {
    try {
      const taken = read(found);
      value = taken.value;
      say(taken.line, false);
    } catch (error) {
      value = null;
      say((error as Error).message, true);
    }
    changed();
  };
  input.addEventListener('change', () => {
    const found = filesOfInput(input);
    if (found.length > 0 || folder) take(found);
  });
  const card = element(
    'section',
    { class: 'field', 'aria-label': title },
    element('h3', {}, `${title} `, element('small', {}, needed ? '' : 'optional')),
    element('p', {}, explanation),
    chosen,
    element('label', { class: 'pick' }, button, input),
  );
  card.addEventListener('dragover', (event) => {
    event.preventDefault();
    card.classList.add('over');
  });
  card.addEventListener('dragleave', () => card.classList.remove('over'));
  card.addEventListener('drop', (event) => {
    event.preventDefault();
    card.classList.remove('over');
    if (event.dataTransfer === null) return;
    filesOfDrop(event.dataTransfer).then(take, (error: Error) => say(error.message, true));
  });
  return { card, value: () => value };
}

/** Files by their path below the shallowest folder that holds a `checkpoint`. A whole demo folder may be chosen. */
export function logFiles(found: readonly Found[]): { value: ReadonlyMap<string, File>; line: string } {
  const tops = found
    .filter(({ path }) => path === 'checkpoint' || path.endsWith('/checkpoint'))
    .map(({ path }) => path.slice(0, -'checkpoint'.length))
    .sort((a, b) => a.split('/').length - b.split('/').length);
  const top = tops[0];
  if (top === undefined) throw new Error('this folder holds no checkpoint: choose the one that a log was exported to');
  const within = found.filter(({ path }) => path.startsWith(top));
  const value = new Map(within.map(({ path, file }) => [path.slice(top.length), file]));
  return { value, line: `${stranger(top) || 'files'} (${value.size} files)` };
}

/** Files by name, wherever in the folder they are. */
function blobFiles(found: readonly Found[]): { value: ReadonlyMap<string, File>; line: string } {
  const blobs = found.filter(({ file }) => /^[0-9a-f]{64}$/.test(file.name));
  if (blobs.length === 0) throw new Error('this folder holds no blobs: their names are 64 hexadecimal digits');
  const folder = blobs[0]!.path.split('/').slice(0, -1).join('/');
  return {
    value: new Map(blobs.map(({ file }) => [file.name, file])),
    line: `${stranger(folder)} (${blobs.length} blobs)`,
  };
}

function oneFile(found: readonly Found[]): { value: File; line: string } {
  const [first] = found;
  if (first === undefined || found.length !== 1) throw new Error('one file is asked for');
  return { value: first.file, line: `${stranger(first.file.name)} (${first.file.size} bytes)` };
}

/** The five things an audit can be given. @param changed - called after each choice. */
export function makeFields(changed: () => void) {
  const log = chooser(
    {
      id: 'log',
      title: 'Log',
      needed: true,
      explanation: 'The folder with checkpoint and tile/, as veilsum log export writes it.',
      button: 'Choose folder',
      folder: true,
    },
    logFiles,
    changed,
  );
  const policy = chooser(
    {
      id: 'policy',
      title: 'Policy',
      needed: true,
      explanation: 'The public keys of log and witnesses, learnt by other means than the log itself.',
      button: 'Choose file',
      folder: false,
    },
    oneFile,
    changed,
  );
  const blobs = chooser(
    {
      id: 'blobs',
      title: 'Blobs',
      needed: false,
      explanation:
        'Ciphertexts by their hash. With them every sum is added up again; without, the audit says that it was not.',
      button: 'Choose folder',
      folder: true,
    },
    blobFiles,
    changed,
  );
  const since = chooser(
    {
      id: 'since',
      title: 'Earlier checkpoint',
      needed: false,
      explanation: 'One that you kept from an earlier audit: the log must extend it.',
      button: 'Choose file',
      folder: false,
    },
    oneFile,
    changed,
  );
  return { log, policy, blobs, since, genesis: genesisField(changed) };
}

/** Null where nothing was typed; `undefined` where what was typed is no hash. */
function genesisField(changed: () => void): { card: HTMLElement; value: () => string | null | undefined } {
  const input = element('input', {
    type: 'text',
    id: 'genesis',
    spellcheck: 'false',
    autocomplete: 'off',
    placeholder: '64 hexadecimal digits',
    'aria-describedby': 'genesis-said',
  });
  const said = element('p', { id: 'genesis-said', class: 'chosen none', role: 'status' });
  const value = (): string | null | undefined => {
    const text = input.value.trim();
    return text === '' ? null : /^[0-9a-f]{64}$/.test(text) ? text : undefined;
  };
  input.addEventListener('input', () => {
    said.textContent = value() === undefined ? 'a hash has 64 hexadecimal digits in lower case' : '';
    changed();
  });
  const card = element(
    'section',
    { class: 'field', 'aria-label': 'Genesis hash' },
    element('h3', {}, element('label', { for: 'genesis' }, 'Genesis hash '), element('small', {}, 'optional')),
    element('p', {}, "Pins keys, minimums and budget. Without it they are the log's own."),
    said,
    input,
  );
  return { card, value };
}
