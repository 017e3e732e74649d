import { addSeller, readSellers } from '../scoring/tokens.ts';
import { usageError } from './exit.ts';
import { table } from './output.ts';

const DAY_SECONDS = 86_400;

/** Makes a token and prints it, once. */
export function newToken(
  options: { readonly tokens: string; readonly name: string; readonly territory: string[]; readonly days: number },
  print: (line: string) => void,
): void {
  const { tokens, name, territory, days } = options;
  if (!(days > 0 && days <= 3660)) throw usageError('--days: must be above 0 and at most 3660');
  const expires = Math.floor(Date.now() / 1000 + days * DAY_SECONDS);
  const token = addSeller(tokens, { name, territories: territory, expires });
  print(token);
  print(`for ${name}, ${territory.join(', ')}, until ${day(expires)}. It is shown only now: ${tokens} keeps its hash.`);
}

export function listTokens(path: string, print: (line: string) => void): void {
  const sellers = readSellers(path);
  if (sellers.length === 0) {
    print(`${path} has no tokens`);
    return;
  }
  const rows = sellers.map(({ name, territories, expires }) => [
    name,
    territories.join(', '),
    `${day(expires)}${1000 * expires <= Date.now() ? ' (expired)' : ''}`,
  ]);
  print(table(['name', 'territories', 'until'], rows));
}

function day(seconds: number): string {
  return new Date(1000 * seconds).toISOString().slice(0, 10);
}
