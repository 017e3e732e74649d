/**
 * Text of a stranger's as one line of printable ASCII: everything else is written as its code point, so that no name can
 * move the cursor, colour the terminal or forge a line of the report. The backslash is written twice, so it is injective.
 */
export function printable(text: string): string {
  return [...text]
    .map((character) => {
      if (character === '\\') return '\\\\';
      return /^[\x20-\x7e]$/.test(character) ? character : `\\u{${character.codePointAt(0)!.toString(16)}}`;
    })
    .join('');
}

/** Last second that a Date can tell (ECMA-262, section 21.4.1.1). */
const LAST_SECOND = 8_640_000_000_000;

/** POSIX seconds of a stranger's as UTC; as they stand where no calendar reaches, so that no time stops a report. */
export function utcTime(seconds: number): string {
  return seconds <= LAST_SECOND ? new Date(seconds * 1000).toISOString() : `${seconds} s after 1970`;
}
