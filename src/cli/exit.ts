import { CommanderError } from 'commander';
import { inert } from '../platform/inert-text.ts';

/** Exit codes of every command. `undecided` is the audit's: files are missing, so neither verified nor refuted. */
export const EXIT = { ok: 0, refused: 1, undecided: 2, usage: 3 } as const;

/** A command that cannot be done as asked, in words that say what to do instead. */
export class CliError extends Error {
  readonly code: string;
  readonly exitCode: number;

  constructor(code: string, message: string, options?: ErrorOptions & { readonly exitCode?: number }) {
    super(message, options);
    this.name = 'CliError';
    this.code = code;
    this.exitCode = options?.exitCode ?? EXIT.refused;
  }
}

/** Wrong or missing arguments and settings: exit code 3. */
export function usageError(message: string, options?: ErrorOptions): CliError {
  return new CliError('USAGE', message, { ...options, exitCode: EXIT.usage });
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  return error instanceof CliError ? error.exitCode : EXIT.refused;
}

/** Prints `veilsum: CODE: message`; with `debug` the stack and its causes after it. Commander has printed its own. */
export function reportError(error: unknown, write: (line: string) => void, debug: boolean): void {
  if (!(error instanceof CommanderError)) write(`veilsum: ${codeOf(error)}: ${inert(messageOf(error))}\n`);
  if (!debug || (error instanceof CommanderError && error.exitCode === 0)) return;
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause)
    write(`${inert(String(cause.stack ?? cause))}\n`);
}

/** The stable code of an error of ours or the system's; INTERNAL where it has none. */
export function codeOf(error: unknown): string {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[A-Z][A-Z0-9_]*$/.test(code) ? code : 'INTERNAL';
}

/** Codes of the system that people meet at a command line. The system's own words hold path or address. */
const SYSTEM_HINTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there: is this party running already?',
  EACCES: 'this user may not do that',
  ENOSPC: 'the disk is full',
};

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const hint = SYSTEM_HINTS[codeOf(error)];
  return hint === undefined ? error.message : `${error.message} (${hint})`;
}
