/** Something that must show nowhere but with its holders. */
export interface Secret {
  readonly name: string;
  /** Parties whose own folder may hold it. */
  readonly holders: readonly string[];
  readonly bytes: Uint8Array;
  /** What a printed list of it would hold; left out: its bytes. */
  readonly numbers?: readonly number[];
}

/** Forms in which a value gets into a text: as it is, and by the usual printers. */
export const FORMS = ['raw', 'hex', 'base64', 'decimal'] as const;
export type Form = (typeof FORMS)[number];

interface Needle {
  readonly secret: Secret;
  readonly form: Form;
  readonly text: string;
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Start, middle and end: a part that leaks is a leak. Parts of long secrets are longer, since their values are small. */
function parts<T>(all: readonly T[], short: number, long: number): T[][] {
  const length = all.length >= 2 * long ? long : Math.min(short, all.length);
  const last = all.length - length;
  return [...new Set([0, last >> 1, last])].map((at) => all.slice(at, at + length));
}

function needlesOf(secret: Secret): Needle[] {
  const needles: Needle[] = [];
  const add = (form: Form, text: string) => needles.push({ secret, form, text });
  for (const part of parts([...secret.bytes], 18, 66)) {
    const bytes = Uint8Array.from(part);
    add('raw', latin1(bytes));
    add('hex', Buffer.from(bytes).toString('hex'));
    // Whole groups of three bytes, wherever a group begins.
    for (const shift of [0, 1, 2]) {
      const groups = bytes.subarray(shift, shift + 3 * Math.floor((bytes.length - shift) / 3));
      add('base64', Buffer.from(groups).toString('base64'));
    }
  }
  for (const part of parts(secret.numbers ?? [...secret.bytes], 16, 32)) add('decimal', `${part.join()},`.slice(0, -1));
  return needles;
}

/** The text as each form's needles are written: without what printers put in between. */
function normalised(text: string): Record<Form, string> {
  return {
    raw: text,
    hex: text.toLowerCase().replaceAll(/\\n|[\s:]/g, ''),
    base64: text
      .replaceAll('-', '+')
      .replaceAll('_', '/')
      .replaceAll(/\\n|\s/g, ''),
    // Keys of a printed typed array, too: {"0":12,"1":34}.
    decimal: text.replaceAll(/"?\d+"?:/g, '').replaceAll(/\\n|[\s"'[\]{}()]/g, ''),
  };
}

/** @returns `secret as form` of everything that the content shows, sorted. */
export function findSecrets(secrets: readonly Secret[], content: Uint8Array | string): string[] {
  const texts = normalised(latin1(typeof content === 'string' ? Buffer.from(content) : content));
  const found = secrets.flatMap(needlesOf).filter(({ form, text }) => texts[form].includes(text));
  return [...new Set(found.map(({ secret, form }) => `${secret.name} as ${form}`))].sort();
}

/** A value in a form, as careless code would print it. */
export function printed(secret: Secret, form: Form): Uint8Array {
  const text = {
    raw: () => latin1(secret.bytes),
    hex: () => Buffer.from(secret.bytes).toString('hex'),
    base64: () => Buffer.from(secret.bytes).toString('base64'),
    decimal: () => JSON.stringify(secret.numbers ?? [...secret.bytes]),
  }[form]();
  return Buffer.from(text, 'latin1');
}
