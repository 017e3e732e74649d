import { setTimeout as sleep } from 'node:timers/promises';
import { LogError } from '../log/errors.ts';
import { logSource } from '../log/log-source.ts';
import { Mirror } from '../log/mirror.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { usageError } from './exit.ts';
import { readPolicy } from './log-proof.ts';
import { grouped, print } from './output.ts';
import { stopSignal } from './run-until-signal.ts';

export interface MirrorFlags {
  readonly log: string;
  readonly policy: string;
  readonly out: string;
  readonly every?: number;
}

/** Ends a mirror that repeats: the log, or whoever shows it, contradicts what was held. Everything else may pass. */
const FINAL: ReadonlySet<string> = new Set(['SPLIT_VIEW', 'ROLLED_BACK', 'WRONG_ORIGIN']);

/** A line at most every two seconds while files come in. */
function printsProgress(): (done: number, total: number) => void {
  let last = performance.now();
  return (done, total) => {
    if (performance.now() - last < 2000) return;
    last = performance.now();
    print(`  ${grouped(done)} of ${grouped(total)} files`);
  };
}

/** `veilsum log mirror`. */
export async function mirrorLog(flags: MirrorFlags): Promise<void> {
  const { log, out, every } = flags;
  if (every !== undefined && every < 1) throw usageError('--every: at least one second');
  const options = { primitives: nodePrimitives, source: logSource(log), policy: readPolicy(flags.policy), folder: out };
  const mirror = await Mirror.open({ ...options, progress: printsProgress() });
  if (mirror.size > 0) print(`${out} holds ${grouped(mirror.size)} leaves`);
  const step = async (): Promise<void> => {
    const { size, added, written } = await mirror.step();
    print(`${out}: ${grouped(size)} leaves, ${grouped(added)} new, ${grouped(written)} files written and verified`);
  };
  if (every === undefined) return step();
  const stopping = new AbortController();
  void stopSignal().then(() => stopping.abort());
  print(`following ${log} every ${every} s (pid ${process.pid}; stop with Ctrl-C)`);
  while (!stopping.signal.aborted) {
    await step().catch((error: unknown) => {
      if (!(error instanceof LogError) || FINAL.has(error.code)) throw error;
      process.stderr.write(`veilsum: ${error.code}: ${error.message}; trying again\n`);
    });
    await sleep(every * 1000, undefined, { signal: stopping.signal }).catch(() => {});
  }
  print('stopped');
}
