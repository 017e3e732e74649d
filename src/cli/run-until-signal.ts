import type { Running } from '../party/running.ts';
import { CliError, EXIT } from './exit.ts';
import { print } from './output.ts';

/** How long a party may take to stop before the process ends without it, in ms. */
const STOP_MS = 15_000;

/** Resolves at the first SIGINT or SIGTERM. A second one ends the process at once. */
export function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(EXIT.refused);
        asked = true;
        resolve(signal);
      });
    }
  });
}

/**
 * Runs a party until a signal asks it to stop. Says in one line that it runs.
 *
 * @param describe - the line, without the hint how to stop.
 */
export async function runUntilSignal<R extends Pick<Running, 'stop'>>(
  start: () => Promise<R>,
  describe: (running: R) => string,
): Promise<void> {
  const asked = stopSignal();
  const running = await start().catch((error: unknown) => {
    throw explainStart(error);
  });
  tell('running', `${describe(running)} (pid ${process.pid}; stop with Ctrl-C)`);
  await asked;
  await stopInTime(() => running.stop());
  tell('stopped', 'stopped');
}

/** In words on a terminal; where output is collected, as one more event in a line of JSON. */
function tell(event: string, what: string): void {
  print(process.stdout.isTTY === true ? what : JSON.stringify({ time: new Date().toISOString(), event, what }));
}

/** A port that is taken is the commonest reason why a party does not start. */
function explainStart(error: unknown): unknown {
  if (!(error instanceof Error) || !error.message.startsWith('cannot listen')) return error;
  const hint =
    'is this party running already? If not, another process has its port, or --listen names an address of another machine';
  return new CliError('ADDRESS_IN_USE', `${error.message}: ${hint}`, { cause: error });
}

/** What is acknowledged is durable, so a stop that takes too long loses nothing. */
export async function stopInTime(stop: () => Promise<void>): Promise<void> {
  const timer = setTimeout(() => {
    process.stderr.write('veilsum: DEADLINE: the party did not stop in time and was ended\n');
    process.exit(EXIT.refused);
  }, STOP_MS);
  await stop();
  clearTimeout(timer);
}
