import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { auditFolder } from '../audit/audit-folder.ts';
import { writeDurably } from '../config/files.ts';
import { foundJob, QUORUM, RECIPIENT } from '../demo/job-federation.ts';
import { exportTranscript } from '../demo/outputs.ts';
import { runRounds } from '../demo/rounds.ts';
import type { Region } from '../learning/datasets.ts';
import { type Epsilon, type JobRequest, keyOf, taskOf } from './runs.ts';

/** A job whose every party was a process, over gRPC and mutual TLS. */
export interface ProcessRun {
  readonly epsilon: Epsilon;
  readonly processes: number;
  /** Rounds that were run: the job's first ones. */
  readonly rounds: number;
  readonly aucPerRound: readonly number[];
  /** Rounds whose opened sum was, integer by integer, the sum of what the nodes had written down: all, or the run fails. */
  readonly exactSums: number;
  /** From the officer's request to the model's evaluation, training, fetching and comparing included. */
  readonly msPerRound: number;
  /** In the exported log, which the auditor verified with its blobs. */
  readonly leaves: number;
}

interface ProcessRequest extends JobRequest {
  /** Encoded, for the evaluation. */
  readonly encoded: readonly Region[];
  /** Of the job's rounds, the first so many. */
  readonly processRounds: number;
  readonly print: (line: string) => void;
  readonly onRound: (round: number, rounds: number) => void;
}

/** Time for parties that wait for one another on a busy machine. */
const UPLOAD_MS = 60_000;
const CONFIRM_MS = 30_000;

/**
 * The job of a split once more, each party a process with keys and a table of its own. Kept in the folder, with its log, policy and
 * blobs; the parties' folders, with keys and plain updates, are removed.
 *
 * @throws Error when a sum is not exact, or the auditor does not verify the log.
 */
export async function runInProcesses(
  folder: string,
  request: ProcessRequest,
): Promise<ProcessRun & { readonly isKept: boolean }> {
  const made = taskOf(request, {
    ...{ recipients: [RECIPIENT], window: 'processes', quorum: QUORUM, checkSums: true },
    ...{ uploadMs: UPLOAD_MS, confirmMs: CONFIRM_MS },
  });
  const { task, budget } = made;
  const rounds = Math.min(request.processRounds, made.rounds);
  const base = join(folder, `${request.kind}-epsilon-${request.epsilon}-processes`);
  const key = `${keyOf(made, request.regions)} ${rounds}`;
  if (existsSync(`${base}.json`)) {
    const { key: of, ...run } = JSON.parse(readFileSync(`${base}.json`, 'utf8')) as ProcessRun & { key: string };
    if (of === key) return { ...run, isKept: true };
  }
  rmSync(base, { recursive: true, force: true });
  mkdirSync(base, { recursive: true });
  const work = join(base, 'work');
  const { federation, nodes, start } = await foundJob({
    ...{ folder: work, origin: 'experiment.veilsum.example/log', tables: request.regions, task, budget },
  });
  try {
    await start(() => {});
    const processes = federation.processes.size;
    request.print(`  ${processes} processes run; their output is in ${join(work, 'output')}`);
    const started = performance.now();
    const { rounds: reports } = await runRounds({
      ...{ federation, nodes, task, rounds, regions: request.encoded, kills: false, budgetEpsilon: made.epsilon },
      print: () => {},
      onRound: ({ round, exactSum, reason }) => {
        if (!exactSum) throw new Error(`round ${round} over processes: ${reason ?? 'not the exact sum'}`);
        request.onRound(round, rounds);
      },
    });
    const msPerRound = (performance.now() - started) / rounds;
    const leaves = await exportTranscript(federation, base, () => {});
    const { exitCode, text } = await auditFolder({
      folder: join(base, 'log'),
      policyFile: join(base, 'policy.txt'),
      blobs: join(base, 'blobs'),
      genesis: federation.local.federation.genesisHash,
    });
    if (exitCode !== 0) throw new Error(`the auditor does not verify the log of the processes:\n${text}`);
    const aucPerRound = reports.map(({ auc }) => auc!);
    const run = { epsilon: request.epsilon, processes, rounds, aucPerRound, exactSums: rounds, msPerRound, leaves };
    writeDurably(`${base}.json`, `${JSON.stringify({ ...run, key })}\n`);
    return { ...run, isKept: false };
  } finally {
    await federation.stop();
    if (existsSync(`${base}.json`)) rmSync(work, { recursive: true, force: true });
  }
}
