/**
 * Characters that make a terminal, a pager or a log viewer do something, or hide and reorder what stands beside them:
 * control (C0 and C1), format (bidirectional marks, joiners, tags), line and paragraph separators, lone surrogates.
 */
const ACTIVE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** `\u009b`, one per UTF-16 code unit: what JSON and people read alike. */
function escaped(character: string): string {
  return [...Array(character.length).keys()]
    .map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`)
    .join('');
}

/**
 * Text for a terminal or a log, where a part of it may be a stranger's: active characters are spelt out, but for newlines
 * and tabs. JSON stays JSON, and means the same.
 */
export function inert(text: string): string {
  return text.replaceAll(ACTIVE, (character) =>
    character === '\n' || character === '\t' ? character : escaped(character),
  );
}

/** The same for what must stay on one line: a stranger's newline could begin a line that looks like ours. */
export function inertLine(text: string): string {
  return text.replaceAll(ACTIVE, escaped);
}
