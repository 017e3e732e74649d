import { type ChildProcess, spawn } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** One event that a party wrote to its standard error. */
export interface PartyEvent {
  readonly event: string;
  readonly [field: string]: unknown;
}

const here = fileURLToPath(import.meta.url);
// src/demo/process.ts beside src/main.ts, or dist/src/demo/process.js beside dist/src/main.js.
const mainFile = join(dirname(here), '..', here.endsWith('.ts') ? 'main.ts' : 'main.js');

/** A party as a process of its own. What it says goes into a log file; its events are also handed on. */
export class PartyProcess {
  readonly name: string;
  readonly #args: readonly string[];
  readonly #logFile: string;
  readonly #onEvent: (name: string, event: PartyEvent) => void;
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();

  constructor(
    name: string,
    args: readonly string[],
    logFile: string,
    onEvent: (name: string, event: PartyEvent) => void,
  ) {
    this.name = name;
    this.#args = args;
    this.#logFile = logFile;
    this.#onEvent = onEvent;
    writeFileSync(logFile, '');
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts the process; resolves when it listens. @throws Error with the last of its output when it ends before. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', mainFile, ...this.#args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.#exited = new Promise((resolve) => child.once('exit', () => resolve()));
    const recent: string[] = [];
    let listening: () => void = () => {};
    const ready = new Promise<void>((resolve) => {
      listening = resolve;
    });
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        appendFileSync(this.#logFile, `${line}\n`);
        recent.push(line);
        if (recent.length > 20) recent.shift();
        const event = parseEvent(line);
        if (event === null) return;
        if (event.event === 'listening') listening();
        this.#onEvent(this.name, event);
      });
    }
    const failed = this.#exited.then(() => {
      throw new Error(`${this.name} ended before it listened:\n${recent.join('\n')}`);
    });
    failed.catch(() => {}); // told only to whoever waits for the start
    await Promise.race([ready, failed]);
  }

  /** Freezes or thaws the process. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal);
  }

  /** Ends the process at once, as a power cut would. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#exited;
  }

  /** Asks the process to end, and ends it after a grace period. */
  async stop(graceMs = 5000): Promise<void> {
    if (!this.isRunning) return;
    this.#child?.kill('SIGTERM');
    const timer = setTimeout(() => this.#child?.kill('SIGKILL'), graceMs);
    await this.#exited;
    clearTimeout(timer);
  }
}

function parseEvent(line: string): PartyEvent | null {
  if (!line.startsWith('{')) return null;
  try {
    const value = JSON.parse(line) as PartyEvent;
    return typeof value.event === 'string' ? value : null;
  } catch {
    return null;
  }
}
