import { randomBytes } from 'node:crypto';
import { canonicalBytes, type Json, toHex } from '../../crypto/encoding.ts';
import { bucketsToOpen, finishedGroup } from '../../protocols/buckets.ts';
import { checkRecipients } from '../../protocols/rules-register.ts';
import { chargeOfTask, sumsOf, type Task, taskField, taskHashOf } from '../../protocols/task.ts';
import { newestModel, type Round, type Transcript } from '../../protocols/transcript.ts';
import { readValidated } from '../config/files.ts';
import { RoundService } from '../grpc/services.ts';
import type { LogReader } from '../party/log-reader.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { epsilonOfOneRound } from '../training/sampling.ts';
import { saysYes } from './ask.ts';
import { budgetLines, epsilonAt, roundsLeft } from './budget.ts';
import { asking, type Caller, followFrom, openCaller, requireOfficer } from './caller.ts';
import { CliError, usageError } from './exit.ts';
import { maskingLines } from './masking-flags.ts';
import { noiseLines } from './noise-words.ts';
import { counted, epsilonText, grouped, printable } from './output.ts';
import { requireFit } from './task-new.ts';

export interface OpenOptions {
  readonly taskFile: string;
  readonly rounds: number;
  /** Ask before opening: a person is there. */
  readonly ask: boolean;
  readonly wait: boolean;
}

/** Members may take a minute to log their round keys. */
const OPEN_MS = 90_000;
/** How long a recipient that has just been started may take for its first model, in ms. */
const MODEL_MS = 20_000;

type Print = (line: string) => void;

function roundsText(count: number): string {
  return counted(count, 'such round');
}

/** What is about to be opened, and what it costs. */
function describe(t: Transcript, task: Task, rounds: number, print: Print): number {
  const { dimension, bits, minCohort, minHonest, minOrganisations, unit } = task;
  const sums = sumsOf(task);
  const charge = chargeOfTask(task) * sums;
  const { deltaExponent } = t.genesis!.budget;
  const delta = `delta 1e-${deltaExponent}`;
  print(`task ${printable(task.task)}, window ${printable(task.window)}: ${grouped(dimension)} values of ${bits} bits`);
  print(
    `  sums of at least ${minCohort} nodes of ${minOrganisations} organisations; noise counts on ${minHonest} honest ones; recipients ${task.recipients.join(', ')}`,
  );
  if (sums > 1)
    print(
      `  in ${sums} buckets of other nodes each: ${sums} sums, ${sums} charges to the log's budget, one to each node's own`,
    );
  print(
    `  this round costs epsilon ${epsilonText(epsilonOfOneRound(task, 10 ** -deltaExponent))} (${delta}, per ${unit}); the budget carries ${roundsText(roundsLeft(t, charge))}`,
  );
  for (const line of [...maskingLines(task), ...noiseLines(task, minCohort)]) print(`  ${line}`);
  for (const line of budgetLines(t)) print(`  ${line}`);
  const { spentRhoNano, reserved } = t.ledger;
  const promised = [...reserved.values()].reduce((sum, rho) => sum + rho, 0);
  print(
    `  after ${rounds === 1 ? 'it' : `${rounds} of them`} epsilon ${epsilonAt(t, spentRhoNano + promised + charge * rounds)} is spent or set aside`,
  );
  return charge;
}

async function confirm(rounds: number): Promise<void> {
  const isWanted = await saysYes(rounds === 1 ? 'Open the round?' : `Open ${rounds} rounds?`);
  if (!isWanted) throw new CliError('CANCELLED', 'nothing was opened');
}

function outcome(round: Round): string {
  const where = `round ${round.record.number}`;
  if (round.phase === 'released') {
    const attempts = round.attempts.length === 1 ? '' : ` after ${round.attempts.length} attempts`;
    return `${where}: released, the sum of ${round.decision.attempt.cohort.length} nodes${attempts}`;
  }
  return round.phase === 'aborted' ? `${where}: aborted (${round.reason})` : `${where}: ${round.phase}`;
}

/** A round starts from a model; the first one comes a moment after the recipient. @throws CliError UNKNOWN_MODEL */
async function firstModel(log: LogReader, print: Print): Promise<void> {
  if (log.transcript.models.length > 0) return;
  print("  waiting for the recipient's first model");
  try {
    await log.until((t) => t.models.length > 0, AbortSignal.timeout(MODEL_MS));
  } catch (cause) {
    if ((cause as Error).name !== 'TimeoutError') throw cause;
    throw new CliError('UNKNOWN_MODEL', 'the recipient has not published a first model yet: is it running?', { cause });
  }
}

/** Says each phase as it comes; resolves at the round's end, and after a release at the next model where one follows. */
async function waitForEnd(log: LogReader, id: string, print: Print): Promise<Round> {
  let last = '';
  const round = await log.until((t) => {
    const now = t.rounds.get(id);
    if (now === undefined) return null;
    const line = phaseLine(now);
    if (line !== last) print(`  ${line}`);
    last = line;
    return now.phase === 'released' || now.phase === 'aborted' ? now : null;
  });
  print(outcome(round));
  return round;
}

function phaseLine(round: Round): string {
  if (round.phase === 'uploading') return `open: ${round.uploads.size} uploads`;
  if (round.phase === 'confirming') {
    const { number, cohort, confirms, ready, readyRecipients } = round.attempt;
    const holders = `${ready.size} members and ${readyRecipients.size} of ${round.record.recipients.length} recipients ready`;
    if (round.record.masking === 'none') return `attempt ${number}: ${cohort.length} nodes, ${holders}`;
    return `attempt ${number}: ${confirms.size} of ${cohort.length} nodes confirmed, ${holders}`;
  }
  if (round.phase === 'decided') return `decided: ${round.decision.answers.size} answers`;
  return round.phase;
}

async function openOne(caller: Caller, task: Task, print: Print): Promise<string> {
  const { coordinator } = caller;
  const request = { task: canonicalBytes(task as unknown as Json), requestId: randomBytes(16) };
  const { roundId, leafIndex } = await asking('the coordinator', coordinator, () =>
    coordinator.call(RoundService.open, request, { deadlineMs: OPEN_MS }),
  );
  print(`opened: leaf ${leafIndex}, id ${toHex(roundId)}`);
  return toHex(roundId);
}

/** How many rounds are to be opened over the newest model: one, or those of the buckets that are not there yet. */
function sumsToOpen(t: Transcript, task: Task): number {
  const { buckets, window } = task;
  if (buckets === undefined) return 1;
  const { modelHash } = newestModel(t)!;
  const own = { taskHash: taskHashOf(nodePrimitives, task), modelHash, window };
  const left = bucketsToOpen(t, own, buckets).length;
  if (left === 0)
    throw new CliError('WINDOW_DECIDED', 'every bucket over the newest model runs or has ended: name a new window');
  return left;
}

/** The round whose decision the next model names. @throws CliError ROUND_ABORTED where there will be none. */
function requireResult(t: Transcript, ended: readonly Round[]): Round {
  const last = ended.at(-1)!;
  const aborted = ended.find((round) => round.phase === 'aborted');
  const [first] = last.record.bucket === undefined ? [] : (finishedGroup(t, last.record) ?? []);
  if (first !== undefined) return first;
  if (aborted?.phase === 'aborted')
    throw new CliError('ROUND_ABORTED', `round ${aborted.record.number} was aborted: ${aborted.reason}`);
  return last;
}

/** Opens rounds of a task. Charges are checked here too, so that what cannot fit is refused before anything is asked. */
export async function openRounds(folder: string, options: OpenOptions, print: Print): Promise<void> {
  const { rounds } = options;
  if (!Number.isSafeInteger(rounds) || rounds < 1) throw usageError('--rounds: a whole number from 1');
  const task = readValidated(options.taskFile, 'the task file', taskField);
  const caller = await openCaller(folder);
  requireOfficer(caller, 'opening a round');
  const log = await followFrom(caller);
  try {
    const { quorum } = log.transcript;
    requireFit(caller.genesis, task, { ...quorum, members: quorum.members.length });
    const unserved = checkRecipients(log.transcript, task.recipients);
    // One that is not enrolled yet may be in a moment.
    if (unserved?.rejected === 'REVOKED')
      throw new CliError('REVOKED', `${unserved.why}: write a task for others with 'veilsum task new'`);
    const charge = describe(log.transcript, task, rounds, print);
    const fit = roundsLeft(log.transcript, charge);
    if (fit < rounds) {
      throw new CliError(
        'BUDGET_EXCEEDED',
        fit === 0 ? 'the budget does not carry this round' : `the budget carries ${roundsText(fit)}, not ${rounds}`,
      );
    }
    await firstModel(log, print);
    if (options.ask) await confirm(rounds);
    for (let i = 0; i < rounds; i++) {
      const ids: string[] = [];
      for (let left = sumsToOpen(log.transcript, task); left > 0; left--) ids.push(await openOne(caller, task, print));
      if (!options.wait) continue;
      const ended: Round[] = [];
      for (const id of ids) ended.push(await waitForEnd(log, id, print));
      const first = requireResult(log.transcript, ended);
      // The next round starts from the model made of this one, or from one that was restored meanwhile.
      if (i + 1 < rounds) await log.until((t) => newestModel(t)!.number > first.record.modelNumber);
    }
  } finally {
    await log.stop();
  }
}
