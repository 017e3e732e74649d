import { bytesEqual, canonicalBytes, fromHex, type Json, parseCanonical, toHex } from '../../crypto/encoding.ts';
import { RoundPhase } from '../../proto/gen/veilsum/v1/round.ts';
import { bucketsToOpen } from '../../protocols/buckets.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import { available } from '../../protocols/ledger.ts';
import { taskFitsGenesis } from '../../protocols/minimums.ts';
import { nextRetryOf } from '../../protocols/retry.ts';
import { checkRecipients } from '../../protocols/rules-register.ts';
import { chargeOfTask, nextNumber, type Task, taskField, taskHashOf } from '../../protocols/task.ts';
import { isRunning, isWithdrawn, newestModel, type Round, type Transcript } from '../../protocols/transcript.ts';
import { implement } from '../grpc/handlers.ts';
import { RoundService } from '../grpc/services.ts';
import type { LogKeeper } from './log-keeper.ts';
import { type Party, primitives } from './party.ts';

const TASKS = 'tasks';
const REQUESTS = 'round-requests';
const MAX_TASK_BYTES = 65_535;
/** How long an opener waits for members' round keys before it is told to ask again, in ms. */
const OPEN_MS = 60_000;

export function parseTask(bytes: Uint8Array): Task {
  let json: Json;
  try {
    json = parseCanonical(bytes, MAX_TASK_BYTES);
  } catch (cause) {
    throw new ProtocolError('MALFORMED', 'the task is not canonical JSON', { cause });
  }
  const parsed = taskField.safeParse(json);
  if (parsed.success) return parsed.data;
  const where = parsed.error.issues.map((issue) => issue.path.join('.') || 'the whole').join(', ');
  throw new ProtocolError('MALFORMED', `the task has wrong fields: ${where}`);
}

/** The tasks that rounds were asked for, so that a restarted coordinator can open what was announced. */
export async function keptTask(party: Party, task: string): Promise<Task | null> {
  const bytes = await party.store.records.get(TASKS, task);
  return bytes === undefined ? null : parseTask(bytes);
}

const PHASES: Readonly<Record<Round['phase'], RoundPhase>> = {
  uploading: RoundPhase.ROUND_PHASE_OPEN,
  confirming: RoundPhase.ROUND_PHASE_CLOSED,
  decided: RoundPhase.ROUND_PHASE_DECIDED,
  released: RoundPhase.ROUND_PHASE_RELEASED,
  aborted: RoundPhase.ROUND_PHASE_ABORTED,
};

/** Who an announcement still waits for, in words. */
function missingKeys(t: Transcript, hash: string): string {
  const { roundKeys, recipients } = t.announces.get(hash)!;
  const without = (names: readonly string[]): string[] => names.filter((name) => !roundKeys.has(name));
  const [members, owners] = [without(t.quorum.members), without(recipients)];
  const needed = 2 * t.quorum.threshold - 1;
  const has = t.quorum.members.length - members.length;
  const missing = [
    ...(has < needed ? [`${needed} members are needed and ${has} answered, not ${members.join(', ')}`] : []),
    ...(owners.length > 0 ? [`recipient ${owners.join(', ')} did not answer`] : []),
  ];
  return missing.length > 0
    ? `keys for the round are missing: ${missing.join('; ')}. Are they running?`
    : "the keys for the round are there, and it was not opened in time: the coordinator's output says why";
}

/** Opens, lists and aborts rounds for officers. */
export function roundDesk(party: Party, keeper: LogKeeper) {
  const { records } = party.store;
  const openedAs = (announce: string): Round | null => {
    const id = keeper.transcript.announces.get(announce)?.openedAs;
    return id === null || id === undefined ? null : (keeper.transcript.rounds.get(id) ?? null);
  };
  /** The announcement of a request: made once, whatever is lost on the way; made again when another request took its number. */
  const announce = async (task: Task, requestId: string): Promise<string> => {
    for (;;) {
      const { recipients } = task;
      const fresh = party.leaf('announce', {
        task: task.task,
        number: nextNumber(keeper.transcript, task.task),
        recipients,
      });
      const leaf = await records.transact(async (tx) => {
        await tx.put(TASKS, task.task, canonicalBytes(task as unknown as Json));
        const kept = await tx.get(REQUESTS, requestId);
        if (kept === undefined) await tx.put(REQUESTS, requestId, fresh);
        return kept ?? fresh;
      });
      try {
        const index = await keeper.append(leaf);
        return [...keeper.transcript.announces.values()].find((a) => a.index === index)!.hash;
      } catch (error) {
        if (!(error instanceof ProtocolError && error.code === 'DUPLICATE_ANNOUNCE')) throw error;
        // Its twin may have made a new one meanwhile: only what was refused goes.
        await records.transact(async (tx) => {
          const kept = await tx.get(REQUESTS, requestId);
          if (kept !== undefined && bytesEqual(kept, leaf)) await tx.delete(REQUESTS, requestId);
        });
      }
    }
  };
  return implement(RoundService, {
    open: async ({ task: bytes, requestId }) => {
      if (requestId.length !== 16) throw new ProtocolError('MALFORMED', 'a request id has 16 bytes');
      const task = parseTask(bytes);
      // Everything below is asked before anything is announced: no announcement could ever be opened.
      const { quorum, genesis } = keeper.transcript;
      const unfit = taskFitsGenesis(genesis!, { ...quorum, members: quorum.members.length }, task);
      if (unfit !== null) throw new ProtocolError(unfit.rejected, unfit.why);
      const unserved = checkRecipients(keeper.transcript, task.recipients);
      if (unserved !== null) throw new ProtocolError(unserved.rejected, unserved.why);
      const left = available(keeper.transcript.ledger);
      if (chargeOfTask(task) > left) {
        throw new ProtocolError(
          'BUDGET_EXCEEDED',
          `the round costs ${chargeOfTask(task)} nano-rho and ${left} are left`,
        );
      }
      const model = newestModel(keeper.transcript);
      if (model === null) throw new ProtocolError('UNKNOWN_MODEL', 'the recipient has not published a first model yet');
      const window = { taskHash: taskHashOf(primitives, task), modelHash: model.modelHash, window: task.window };
      const asked = await records.get(REQUESTS, toHex(requestId));
      const { buckets } = task;
      if (
        asked === undefined &&
        buckets !== undefined &&
        bucketsToOpen(keeper.transcript, window, buckets).length === 0
      )
        throw new ProtocolError('WINDOW_DECIDED', 'every bucket of this task, model and window runs or was decided');
      if (asked === undefined && buckets === undefined && nextRetryOf(keeper.transcript, window) === undefined)
        throw new ProtocolError('WINDOW_DECIDED', 'this task, model and window were decided: name a new window');
      const hash = await announce(task, toHex(requestId));
      const end = performance.now() + OPEN_MS;
      while (performance.now() < end) {
        if (isWithdrawn(keeper.transcript, keeper.transcript.announces.get(hash)!)) break;
        const round = openedAs(hash);
        if (round !== null) return { roundId: fromHex(round.id, 32), leafIndex: BigInt(round.openIndex) };
        await new Promise<void>((resolve) => {
          const timer = setTimeout(() => done(), 500);
          const forget = keeper.onChange(() => done());
          const done = (): void => {
            clearTimeout(timer);
            forget();
            resolve();
          };
        });
      }
      throw new ProtocolError('ROUND_KEY_MISSING', missingKeys(keeper.transcript, hash));
    },
    list: async ({ fromIndex, limit }) => {
      const all = [...keeper.transcript.rounds.values()].filter((round) => BigInt(round.openIndex) >= fromIndex);
      const page = all.slice(0, limit === 0 ? 100 : Math.min(limit, 100));
      const next = all[page.length];
      return {
        rounds: page.map((round) => ({
          roundId: fromHex(round.id, 32),
          number: round.record.number,
          task: round.record.task,
          phase: PHASES[round.phase],
          openIndex: BigInt(round.openIndex),
          uploads: round.uploads.size,
          attempts: round.attempts.length,
          cohort: round.attempts.at(-1)?.cohort.length ?? 0,
          abortReason: round.phase === 'aborted' ? round.reason : '',
        })),
        nextIndex: BigInt(next?.openIndex ?? 0),
      };
    },
    abort: async ({ roundId }) => {
      const round = keeper.transcript.rounds.get(toHex(roundId));
      if (round === undefined) throw new ProtocolError('UNKNOWN_ROUND', 'no such round');
      if (!isRunning(round)) throw new ProtocolError('ROUND_ENDED', 'the round has already ended');
      const leaf = party.leaf('abort', { round: round.id, reason: 'OPERATOR' });
      return { leafIndex: BigInt(await keeper.append(leaf)) };
    },
  });
}
