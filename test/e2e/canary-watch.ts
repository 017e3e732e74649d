import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type AnyMethod, SERVICES } from '../../src/grpc/services.ts';

/** Whether system calls of a process can be watched here. */
export const canTrace = spawnSync('strace', ['-e', 'trace=none', 'true']).status === 0;

/**
 * Keeps the bytes of every message that this process serialises for gRPC, before TLS hides them, from now on.
 *
 * @returns the messages, by the path of their RPC.
 */
export function watchMessages(): Map<string, Buffer[]> {
  const seen = new Map<string, Buffer[]>();
  for (const service of Object.values(SERVICES)) {
    for (const method of Object.values(service) as { -readonly [K in keyof AnyMethod]: AnyMethod[K] }[]) {
      const list: Buffer[] = [];
      seen.set(method.path, list);
      for (const side of ['requestSerialize', 'responseSerialize'] as const) {
        const serialise = method[side];
        method[side] = (value: unknown) => {
          const bytes = serialise(value);
          list.push(Buffer.from(bytes));
          return bytes;
        };
      }
    }
  }
  return seen;
}

/** Keeps everything that this process prints, from now on. */
export function watchOutput(): { text: string } {
  const kept = { text: '' };
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write.bind(stream);
    stream.write = ((chunk: string | Uint8Array, ...rest: never[]): boolean => {
      kept.text += typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1');
      return write(chunk, ...rest);
    }) as typeof stream.write;
  }
  return kept;
}

/** A process whose every write, to whatever file or socket, is kept. */
export interface Traced {
  readonly pid: number;
  /** What it printed so far. */
  readonly output: () => string;
  /** Waits until it has printed something. @throws Error when it ends before. */
  ready(text: string): Promise<void>;
  /** Its end, after SIGTERM where `stop`. @returns the bytes of all its writes, one after the other. */
  end(stop: boolean): Promise<Buffer>;
}

const WRITES = 'write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg';

/** @param trace - file that strace writes; @param args - of this Node. */
export function traced(trace: string, args: readonly string[]): Traced {
  const flags = ['-f', '-qq', '-xx', '-s', '4000000', '-e', `trace=${WRITES}`, '-o', trace];
  const child = spawn('strace', [...flags, process.execPath, '--disable-warning=ExperimentalWarning', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('close', resolve));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => {
      output += data.toString('latin1');
    });
  }
  return {
    pid: child.pid!,
    output: () => output,
    ready: (text) =>
      new Promise((resolve, reject) => {
        child.stdout.on('data', () => output.includes(text) && resolve());
        void ended.then(() => reject(new Error(`the process ended: ${output}`)));
      }),
    end: async (stop) => {
      // strace hands no signal on: the process that it watches is its child.
      if (stop)
        process.kill(
          Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ')[0]),
          'SIGTERM',
        );
      await ended;
      return writtenBytes(readFileSync(trace, 'latin1'));
    },
  };
}

/** The strings of a trace in which strace has spelt every byte as \xNN. */
function writtenBytes(text: string): Buffer {
  const strings = [...text.matchAll(/"((?:\\x[0-9a-f]{2})*)"/g)].map((match) => match[1]!.replaceAll('\\x', ''));
  return Buffer.concat(strings.map((hex) => Buffer.from(hex, 'hex')));
}
