import { printable } from '../audit/printable.ts';

export { byId, element } from '../page/elements.ts';

/** Text of a stranger's: printable ASCII, the rest as code points, so that nothing reverses or hides what follows. */
export function stranger(text: string): string {
  return printable(text);
}
