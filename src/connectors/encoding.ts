import { ConnectorError } from './errors.ts';

/** What a file's owner may say it is written in. Never guessed: a wrong guess turns names into other names. */
export const ENCODINGS = ['utf-8', 'windows-1252', 'utf-16le', 'utf-16be'] as const;
export type Encoding = (typeof ENCODINGS)[number];

/**
 * Text of a file in the encoding that its owner declares; a byte order mark is dropped.
 *
 * @throws ConnectorError BAD_ENCODING with the number of the first line that is in another one: files that several
 *   programs appended to are in several.
 */
export function decodeText(name: string, bytes: Uint8Array, encoding: Encoding): string {
  const refuse = (line: number, advice: string): never => {
    throw new ConnectorError('BAD_ENCODING', `${name}, line ${line}: not ${encoding} like the lines before; ${advice}`);
  };
  if (encoding === 'windows-1252') {
    // Every byte is a character there, so the only sign of a mixture is a line that is well-formed UTF-8 beyond ASCII.
    const mixed = firstLine(bytes, (line) => line.some((byte) => byte >= 0x80) && isUtf8(line));
    if (mixed !== null) refuse(mixed, 'it is UTF-8. Write the whole file in one encoding, or set encoding: utf-8');
    return new TextDecoder(encoding).decode(bytes);
  }
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    const wrong = encoding === 'utf-8' ? (firstLine(bytes, (line) => !isUtf8(line)) ?? 1) : 1;
    return refuse(wrong, `write the whole file in one encoding, or name it: encoding, one of ${ENCODINGS.join(', ')}`);
  }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Number, from 1, of the first line that satisfies something; null where none does. */
function firstLine(bytes: Uint8Array, is: (line: Uint8Array) => boolean): number | null {
  for (let start = 0, line = 1; start < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, start);
    const stop = end < 0 ? bytes.length : end;
    if (is(bytes.subarray(start, stop))) return line;
    start = stop + 1;
  }
  return null;
}
