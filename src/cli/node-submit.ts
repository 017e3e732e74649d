import { basename } from 'node:path';
import { fateOf } from '../../protocols/one-shot.ts';
import type { Task } from '../../protocols/task.ts';
import { decisionOf, type Round, type Transcript } from '../../protocols/transcript.ts';
import { readUpdateFile } from '../learning/update-file.ts';
import type { EngineChoice } from '../party/engines.ts';
import type { Trained } from '../party/finished-updates.ts';
import { runNode, type UpdateSource } from '../party/node.ts';
import { readNodeConfig } from '../party/node-config.ts';
import { createFileSource, valuesFor } from '../training/file-source.ts';
import { writeCheckSums } from './check-sums.ts';
import { CliError, usageError } from './exit.ts';
import { grouped } from './output.ts';
import { stopInTime, stopSignal } from './run-until-signal.ts';

export interface SubmitRequest {
  readonly path: string;
  /** Patterns of the layers that are sent; left out: all of the file. */
  readonly layers?: readonly string[];
  /** How much the update counts, where the task weighs nodes. */
  readonly weight: number | null;
  readonly task: string | null;
  readonly engine: EngineChoice | null;
  readonly timeoutMs: number | null;
  /** host:port to bind, over what node.yaml says. */
  readonly listen?: string;
}

/** How often the transcript is looked at when the log is silent, in ms. */
const LOOK_MS = 200;

function chooseTask(config: { readonly tasks: readonly Task[] }, wanted: string | null): Task {
  const names = config.tasks.map(({ task }) => task).join(', ');
  if (wanted !== null) {
    const found = config.tasks.find(({ task }) => task === wanted);
    if (found === undefined) throw usageError(`--task: node.yaml has no task '${wanted}', it has ${names}`);
    return found;
  }
  if (config.tasks.length > 1) throw usageError(`node.yaml has several tasks: add --task with one of ${names}`);
  return config.tasks[0]!;
}

/** Refuses before anything starts what no round would take. */
function checkUpdate(task: Task, { path, layers, weight }: SubmitRequest): number {
  const values = valuesFor(task, readUpdateFile(path, layers), basename(path), weight);
  values.fill(0);
  return values.length;
}

/** The round in which the update was sent: the one that asked for it. */
function trackingSource(
  inner: UpdateSource,
): UpdateSource & { readonly roundId: string | null; readonly refused: Error | null } {
  let roundId: string | null = null;
  let refused: Error | null = null;
  const tracked = (trained: Trained): Trained => ({
    integers: (round, weight) => {
      const values = trained.integers(round, weight);
      roundId = round.id;
      return values;
    },
    [Symbol.dispose]: () => trained[Symbol.dispose](),
  });
  return {
    get roundId() {
      return roundId;
    },
    get refused() {
      return refused;
    },
    update: async (task, round, model) => {
      try {
        const values = await inner.update(task, round, model);
        if (values !== null) roundId = round.id;
        return values;
      } catch (error) {
        refused = error as Error;
        return null;
      }
    },
    train: async (task, round, model) => {
      try {
        const trained = (await inner.train?.(task, round, model)) ?? null;
        return trained === null ? null : tracked(trained);
      } catch (error) {
        refused = error as Error;
        return null;
      }
    },
  };
}

function isInSum(round: Round, node: string): boolean {
  const decision = decisionOf(round);
  return decision?.attempt.cohort.some((upload) => upload.node === node) ?? false;
}

/** Without masks an update that a round ended without goes into the next one. */
function goesOn(t: Transcript, { id, record }: Round, name: string): boolean {
  return record.masking === 'none' && fateOf(t, id, name) === 'free';
}

function ended(t: Transcript, roundId: string | null): Round | null {
  const round = roundId === null ? undefined : t.rounds.get(roundId);
  return round?.phase === 'released' || round?.phase === 'aborted' ? round : null;
}

/**
 * Takes part in one round with an update from a file, to the round's end.
 *
 * @throws CliError NOT_IN_SUM, DEADLINE (no round opened in time), or what refused the update.
 */
export async function submitUpdate(folder: string, request: SubmitRequest, say: (line: string) => void): Promise<void> {
  const config = readNodeConfig(folder);
  const task = chooseTask(config, request.task);
  const length = checkUpdate(task, request);
  const source = trackingSource(createFileSource(request.path, { only: request.layers ?? [], weight: request.weight }));
  const asked = stopSignal();
  let name = '';
  const node = await runNode(
    folder,
    async (party) => {
      name = party.name;
      const policyNow = (): typeof config.policy => readNodeConfig(folder).policy;
      const setting = {
        policy: config.policy,
        policyNow,
        tasks: [task],
        engine: request.engine ?? config.engine,
        source,
      };
      return { ...setting, checkSums: (round, values) => writeCheckSums(folder, round, values) };
    },
    request.listen ?? config.listen,
  );
  say(
    `${name}: ${request.path} is ready (${grouped(length)} numbers); waiting for a round of ${task.task} (stop with Ctrl-C)`,
  );
  const signal = new AbortController();
  void asked.then(() => signal.abort());
  try {
    const round = await roundEnd(node, name, source, request.timeoutMs, signal.signal, say);
    const where = `round ${round.record.number} of ${round.record.task}`;
    if (round.phase === 'aborted')
      throw new CliError(
        'ROUND_ABORTED',
        `${where} was aborted (${round.reason}): nothing was opened, the update can be sent again`,
      );
    if (!isInSum(round, name))
      throw new CliError('NOT_IN_SUM', `${where} ended without this update: it arrived or was confirmed too late`);
    say(`${where}: the update is in the sum of ${decisionOf(round)?.attempt.cohort.length ?? 0} nodes`);
  } finally {
    await stopInTime(() => node.stop());
  }
}

type RunningNode = Awaited<ReturnType<typeof runNode>>;
type Tracking = ReturnType<typeof trackingSource>;

async function roundEnd(
  { log }: RunningNode,
  name: string,
  source: Tracking,
  timeoutMs: number | null,
  stop: AbortSignal,
  say: (line: string) => void,
): Promise<Round> {
  const startedAt = performance.now();
  let told = false;
  for (;;) {
    if (log.failure !== null) throw log.failure;
    if (source.refused !== null) throw source.refused;
    const round = ended(log.transcript, source.roundId);
    if (round !== null && !goesOn(log.transcript, round, name)) return round;
    if (stop.aborted) throw new CliError('CANCELLED', 'stopped before the round ended');
    const current = source.roundId === null ? undefined : log.transcript.rounds.get(source.roundId);
    if (current !== undefined && !told) {
      told = true;
      say(
        `round ${current.record.number} has asked for it: encrypting and sending ${grouped(current.record.parameters.payloadBytes)} bytes`,
      );
    }
    if (source.roundId === null && timeoutMs !== null && performance.now() - startedAt > timeoutMs) {
      throw new CliError('DEADLINE', 'no round opened in time');
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
