import { type ChildProcess, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { COMPILED } from './compile-cache.ts';

const main = resolve(import.meta.dirname, '../../src/main.ts');

export interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A command in a process of its own, as a user runs it. */
export class CommandLine {
  readonly folder: string;
  readonly #running = new Set<ChildProcess>();

  constructor(folder: string) {
    this.folder = folder;
  }

  #spawn(args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, ...args], {
      cwd: this.folder,
      env: { ...COMPILED, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    child.once('exit', () => this.#running.delete(child));
    return child;
  }

  /** Runs a command to its end. */
  async run(args: string | readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const child = this.#spawn(typeof args === 'string' ? args.split(' ') : args, env);
    const [out, err] = [collect(child, 'stdout'), collect(child, 'stderr')];
    const code = await new Promise<number | null>((done) => child.once('close', (status) => done(status)));
    return { code, out: out(), err: err() };
  }

  /** Starts a party; resolves when it says in one line that it runs. */
  async start(args: string): Promise<{ readonly pid: number; stop(): Promise<Ended> }> {
    const child = this.#spawn(args.split(' '), {});
    const [out, err] = [collect(child, 'stdout'), collect(child, 'stderr')];
    const ended = new Promise<Ended>((done) => child.once('close', (code) => done({ code, out: out(), err: err() })));
    await new Promise<void>((ready, fail) => {
      child.stdout!.on('data', () => out().includes('stop with Ctrl-C') && ready());
      void ended.then(({ code }) => fail(new Error(`veilsum ${args} ended with ${code}: ${err()}`)));
    });
    return {
      pid: child.pid!,
      stop: () => {
        child.kill('SIGTERM');
        return ended;
      },
    };
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** Ends whatever a failed test left running. */
  kill(): void {
    for (const child of this.#running) child.kill('SIGKILL');
  }
}

function collect(child: ChildProcess, stream: 'stdout' | 'stderr'): () => string {
  const chunks: Buffer[] = [];
  child[stream]!.on('data', (chunk: Buffer) => chunks.push(chunk));
  return () => Buffer.concat(chunks).toString('utf8');
}
