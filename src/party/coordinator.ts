import { fromHex, toHex } from '../../crypto/encoding.ts';
import { makeSigner } from '../../crypto/note.ts';
import { type CoordinatorDuty, coordinatorDuties, type Patience } from '../../protocols/coordinator.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import { cohortHashOf } from '../../protocols/rules-round.ts';
import { recordOf } from '../../protocols/task.ts';
import { newestModel, type Round } from '../../protocols/transcript.ts';
import { SUM_MS } from '../grpc/limits.ts';
import { AggregationService } from '../grpc/services.ts';
import { serveHttp } from '../http/serve.ts';
import { checkpointSeed } from '../keys/card.ts';
import { exportLog } from '../log/log-folder.ts';
import { askAgreed, type HashQuestion } from './agreed.ts';
import { grpcWitness, httpWitness, type Witness } from './ask-witness.ts';
import { DutyLoop, firstPossible } from './duty-loop.ts';
import { enrolmentDesk } from './enrolment-desk.ts';
import { REPLICA_MS } from './fetch.ts';
import { LogKeeper } from './log-keeper.ts';
import { logService } from './log-service.ts';
import { modelService } from './model-service.ts';
import { openParty, type Party, primitives, serve } from './party.ts';
import { keptTask, roundDesk } from './round-desk.ts';
import { roundsViewOf } from './rounds-view.ts';
import type { Running } from './running.ts';

export interface CoordinatorOptions {
  /** How long the coordinator waits for members before it goes on without them, in ms. */
  readonly roundKeyMs?: number;
  /** How long a round may stay announced without being opened before it is withdrawn, in ms. */
  readonly announceMs?: number;
  readonly readyMs?: number;
  /** How long t members and every recipient may take to open their boxes, in ms. Without them nothing is decided. */
  readonly holderMs?: number;
  readonly answerMs?: number;
  /** Where the log's tiles, health and the page of rounds are served over HTTP; left out, they are not. */
  readonly http?: { readonly host: string; readonly port: number };
  /** A folder that is kept equal to the published log (C2SP tlog-tiles). */
  readonly exportFolder?: string;
  /** host:port to bind where that is not the card's address. */
  readonly listen?: string;
}

/** A running coordinator, with the log it keeps: for the HTTP side and for exports. */
export interface RunningCoordinator extends Running {
  readonly keeper: LogKeeper;
  readonly party: Party;
  /** `http://host:port`, where the log is served; null where it is not. */
  readonly url: string | null;
}

/** Who cosigns the log: members, outside witnesses of the federation, then strangers' over HTTP. */
export function witnessesOf(party: Party): Witness[] {
  const { members, witnesses, httpWitnesses = [] } = party.folder.federation;
  const connect =
    (role: 'member' | 'witness') =>
    (to: (typeof members)[number]): Witness =>
      grpcWitness(to.name, party.links.connect(to, role));
  // Whom genesis does not name cannot count, so it is not asked.
  const strangers = httpWitnesses.flatMap(({ name, url }): Witness[] => {
    const known = party.policy.witnesses.find((witness) => witness.name === name);
    if (known === undefined) party.say('witness unknown to genesis', { witness: name });
    return known === undefined ? [] : [httpWitness(name, url, known.verifier)];
  });
  return [...members.map(connect('member')), ...witnesses.map(connect('witness')), ...strangers];
}

/** Ends a round that goes on with bytes that every replica has lost: U and its sum are fixed, so nothing can mend it. */
async function doOrAbort(party: Party, keeper: LogKeeper, duty: CoordinatorDuty): Promise<void> {
  try {
    await doDuty(party, keeper, duty);
  } catch (error) {
    const isLost = error instanceof ProtocolError && error.code === 'BLOB_LOST';
    if (!isLost || (duty.duty !== 'close' && duty.duty !== 'decide')) throw error;
    party.say('bytes lost', { round: duty.round.record.number, duty: duty.duty, why: error.message });
    await doDuty(party, keeper, { duty: 'abort', round: duty.round, reason: 'BLOB_LOST' });
  }
}

/**
 * How long one aggregator may add up before the next one is asked, in ms: a minute, and what reading takes at 5 MB/s. Asking the
 * same one again later joins the sum that is running there.
 */
function patienceFor({ record }: Round, nodes: number): number {
  return Math.min(SUM_MS, 60_000 + (nodes * record.parameters.payloadBytes) / 5_000);
}

/** Aggregators that differ are said to, and believed by turns where nothing tells them apart: from one round to the next. */
function disputes(
  party: Party,
  { duty, round: { record } }: { readonly duty: string; readonly round: Round },
): Pick<HashQuestion, 'turn' | 'onDispute'> {
  const onDispute = (given: readonly string[]): void =>
    party.say('aggregators disagree', { round: record.number, duty, given: given.join(', ') });
  return { turn: record.number, onDispute };
}

async function doDuty(party: Party, keeper: LogKeeper, duty: CoordinatorDuty): Promise<void> {
  if (duty.duty === 'open') {
    const { announce, members } = duty;
    const task = await keptTask(party, announce.task);
    const model = newestModel(keeper.transcript);
    if (task === null || model === null)
      throw new ProtocolError('UNKNOWN_MODEL', 'the announced task or its model is not here');
    const record = recordOf(primitives, keeper.transcript, task, announce, members, model);
    await keeper.append(party.leaf('open', { record }));
    party.say('round opened', { round: record.number, rhoNano: record.charge.rhoNano });
  } else if (duty.duty === 'withdraw') {
    const { hash, number } = duty.announce;
    await keeper.append(party.leaf('abort', { round: hash, reason: 'ROUND_KEY_MISSING' }));
    party.say('announcement withdrawn', { round: number, keys: duty.announce.roundKeys.size });
  } else if (duty.duty === 'abort') {
    await keeper.append(party.leaf('abort', { round: duty.round.id, reason: duty.reason }));
    party.say('round aborted', { round: duty.round.record.number, reason: duty.reason });
  } else if (duty.duty === 'close') {
    const { round, attempt, cohort } = duty;
    const uploads = cohort.map((upload) => upload.index);
    const payloadHashes = cohort.map((upload) => fromHex(upload.body.payloadHash, 32));
    const request = { roundId: fromHex(round.id, 32), attempt, payloadHashes };
    const sumHash = await askAgreed(party.aggregators, {
      ...disputes(party, duty),
      firstMs: patienceFor(round, cohort.length),
      ask: async (r, ms) => toHex((await r.callOnce(AggregationService.sum, request, ms)).sumHash),
    });
    await keeper.append(
      party.leaf('close', {
        round: round.id,
        attempt,
        uploads,
        cohortHash: cohortHashOf(primitives, cohort),
        sumHash,
      }),
    );
    party.say('attempt closed', { round: round.record.number, attempt, nodes: uploads.length });
  } else {
    const { attempt, record, id } = duty.round;
    const request = { closeHash: fromHex(attempt.close, 32) };
    const correctionSumHash = await askAgreed(party.aggregators, {
      ...disputes(party, duty),
      firstMs: REPLICA_MS,
      ask: async (r, ms) => {
        const { correctionSum } = await r.callOnce(AggregationService.fetchMaskSum, request, ms);
        return toHex(primitives.sha256(correctionSum));
      },
    });
    const body = {
      round: id,
      attempt: attempt.number,
      close: attempt.close,
      confirms: attempt.cohort.map((upload) => attempt.confirms.get(upload.node)!.index),
      sumHash: attempt.sumHash,
      correctionSumHash,
      rhoNano: record.charge.rhoNano,
    };
    await keeper.append(party.leaf('decide', body));
    party.say('round decided', { round: record.number, attempt: attempt.number, nodes: attempt.cohort.length });
  }
}

/** Writes what is published into a folder, at most twice a second. */
function keepExported(keeper: LogKeeper, folder: string, say: Party['say']): DutyLoop {
  let exported = 0;
  const loop = new DutyLoop(async () => {
    const size = keeper.log.published?.checkpoint.size ?? 0;
    if (size > exported) {
      await exportLog(keeper.log, folder);
      exported = size;
    }
    return false;
  }, say);
  loop.start(500);
  return loop;
}

/** Runs the coordinator: the log, the rounds, sealed models; it holds no key that opens anything. */
export async function runCoordinator(folder: string, options: CoordinatorOptions = {}): Promise<RunningCoordinator> {
  const party = await openParty(folder, undefined, options.listen);
  const seed = checkpointSeed(primitives, party.folder.identity);
  const signer = makeSigner(primitives, 'ed25519', party.genesis.origin, seed);
  const witnesses = witnessesOf(party);
  const { store, policy, say } = party;
  const keeper = await LogKeeper.open(store, signer, policy, party.folder.genesisLeaf, witnesses, say);
  const services = [
    logService(keeper),
    enrolmentDesk(party, keeper),
    roundDesk(party, keeper),
    modelService(party, keeper),
  ];
  const server = await serve(
    party,
    services,
    () => keeper.log.size,
    () => keeper.transcript,
  );
  const act = async (): Promise<boolean> => {
    if (keeper.failure !== null) throw keeper.failure;
    const patience: Patience = {
      now: performance.now(),
      since: (hash) => keeper.firstSeen(hash),
      roundKeyMs: options.roundKeyMs ?? 10_000,
      announceMs: options.announceMs ?? Math.max(60_000, 2 * (options.roundKeyMs ?? 0)),
      readyMs: options.readyMs ?? 3_000,
      holderMs: options.holderMs ?? 60_000,
      answerMs: options.answerMs ?? 60_000,
    };
    return firstPossible(coordinatorDuties(keeper.transcript, patience), (duty) => doOrAbort(party, keeper, duty));
  };
  const loop = new DutyLoop(act, say);
  keeper.onChange(() => {
    // Not before all of it is cosigned: a witness shows its new key only once it has seen its leaf under a head.
    if (keeper.log.published?.checkpoint.size === keeper.transcript.size) party.links.follow(keeper.transcript);
    server.recheckCallers();
    loop.poke();
  });
  loop.start(100);
  keeper.startCosigning();
  const health = async (): Promise<void> => {
    if (keeper.failure !== null) throw keeper.failure;
  };
  const http =
    options.http === undefined
      ? null
      : await serveHttp(
          { log: keeper.log, rounds: roundsViewOf(keeper), health },
          options.http.host,
          options.http.port,
        );
  if (http !== null) say('serving http', { url: http.url });
  const exporter = options.exportFolder === undefined ? null : keepExported(keeper, options.exportFolder, say);
  return {
    address: server.address,
    keeper,
    party,
    url: http?.url ?? null,
    stop: async () => {
      keeper.stop();
      await loop.stop();
      await exporter?.stop();
      await http?.[Symbol.asyncDispose]();
      await server.stop();
      await store[Symbol.asyncDispose]();
    },
  };
}
