/**
 * Whether a layer's name fits one of the patterns: the whole name, letter by letter, but that `*` stands for any letters,
 * none, or many (`lora.*`, `*.adapter.*`).
 */
export function matcherOf(patterns: readonly string[]): (name: string) => boolean {
  const parts = patterns.map((pattern) => pattern.split('*'));
  return (name) => parts.some((pieces) => fits(name, pieces));
}

/** Greedy from the left, which finds a fit if there is one: the first piece is a prefix, the last a suffix. */
function fits(name: string, pieces: readonly string[]): boolean {
  const [first, last] = [pieces[0]!, pieces.at(-1)!];
  if (pieces.length === 1) return name === first;
  if (!name.startsWith(first) || !name.endsWith(last) || name.length < first.length + last.length) return false;
  let at = first.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = name.indexOf(piece, at);
    if (found < 0 || found + piece.length > name.length - last.length) return false;
    at = found + piece.length;
  }
  return true;
}
