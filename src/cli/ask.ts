import { createInterface } from 'node:readline/promises';
import { CliError } from './exit.ts';

/**
 * Asks the person at the terminal; anything but a yes is a no.
 *
 * @throws CliError REFUSED where no terminal is: silence is no consent.
 */
export async function saysYes(question: string): Promise<boolean> {
  if (process.stdin.isTTY !== true)
    throw new CliError('REFUSED', 'nobody is there to ask: read what is printed above, and say --yes');
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(`${question} [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}
