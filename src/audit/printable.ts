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
