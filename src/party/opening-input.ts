import { createHash } from 'node:crypto';
import { fromHex, toHex } from '../../crypto/encoding.ts';
import { blockBytes, type PayloadContext } from '../../crypto/payload.ts';
import { CheckedSum } from '../../protocols/checked-sum.ts';
import { ProtocolError, type Rejection } from '../../protocols/errors.ts';
import type { Decision, Round } from '../../protocols/transcript.ts';
import type { Connection } from '../grpc/connection.ts';
import { download } from '../grpc/download.ts';
import { AggregationService, QuorumService } from '../grpc/services.ts';
import { addUpInstead } from './corrections.ts';
import { type EngineChoice, payloadContext } from './engines.ts';
import { askReplicas, isDown, isReplicas, isWithoutBytes, REPLICA_MS } from './fetch.ts';
import { type Party, primitives } from './party.ts';

/** What an opening needs besides the answers and the recipient's own seeds: all of it is fixed by the decision. */
export interface Gathered {
  readonly context: PayloadContext;
  readonly correctionSum: Uint8Array;
  readonly sum: CheckedSum | Rejection;
}

/** Takes the summed payload from the first replicas of a list into the recipient's own store, checked against its hash. */
async function takeSum(party: Party, replicas: readonly Connection[], sumHash: string, bytes: number): Promise<void> {
  const { blobs } = party.store;
  const chunks: Uint8Array[] = [];
  const request = (offsetBytes: bigint) => ({ sumHash: fromHex(sumHash, 32), offsetBytes });
  const options = { expectedBytes: bytes, maxBytes: bytes, attempts: 2 * replicas.length };
  await download(replicas, AggregationService.fetchSum, request, (chunk) => void chunks.push(chunk), options);
  const digest = createHash('sha256');
  for (const chunk of chunks) digest.update(chunk);
  // Looked at before it is kept: what came instead may be another round's sum, which stays.
  if (digest.digest('hex') !== sumHash)
    throw new ProtocolError('SUM_MISMATCH', 'the aggregator sent another sum than the one decided over');
  await blobs.put(chunks);
}

/**
 * The summed payload, in the recipient's own store. From all replicas together first, as a cut transfer goes on at the next
 * one; where that gave other bytes, of one of them or of several, from each alone.
 */
async function fetchSum(party: Party, round: Round, sumHash: string): Promise<void> {
  if (await party.store.blobs.has(sumHash)) return;
  const take = (replicas: readonly Connection[]): Promise<void> =>
    takeSum(party, replicas, sumHash, round.record.parameters.payloadBytes);
  try {
    await take(party.aggregators);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    await askReplicas(party.aggregators, (replica) => take([replica]));
  }
}

/** The sum of corrections that was decided over; the recipient's own where no replica gives that one. */
async function fetchCorrectionSum(party: Party, round: Round, decision: Decision): Promise<Uint8Array> {
  const request = { closeHash: fromHex(decision.attempt.close, 32) };
  try {
    return await askReplicas(party.aggregators, async (replica) => {
      const { correctionSum } = await replica.callOnce(AggregationService.fetchMaskSum, request, REPLICA_MS);
      if (toHex(primitives.sha256(correctionSum)) === decision.body.correctionSumHash) return correctionSum;
      throw new ProtocolError('SUM_MISMATCH', 'not the sum of corrections that was decided over');
    });
  } catch (error) {
    if (!isReplicas(error) || isDown(error)) throw error;
    return addUpInstead(party, round, decision, error);
  }
}

/** All blocks of the stored sum, block by block. */
async function readBlocks(party: Party, context: PayloadContext, hash: string): Promise<Uint8Array[]> {
  using reader = await party.store.blobs.open(hash);
  const blocks: Uint8Array[] = [];
  for (let block = 0, at = 0; block < context.parameters.blocks; block++) {
    const bytes = blockBytes(context.parameters, block);
    blocks.push(await reader.read(at, bytes));
    at += bytes;
  }
  return blocks;
}

/** What a recipient fetches for its openings, each once: whoever asks while it is on its way waits for it. */
export class OpeningInput {
  readonly #party: Party;
  readonly #engine: EngineChoice;
  readonly #sums = new Map<string, Promise<void>>();
  /** By decision. */
  readonly #gathered = new Map<string, Promise<Gathered>>();

  constructor(party: Party, engine: EngineChoice) {
    this.#party = party;
    this.#engine = engine;
  }

  /** The summed payload of an attempt, into the store. It may be asked for before it is decided over that sum. */
  sum(round: Round, sumHash: string): Promise<void> {
    const fetching = this.#sums.get(sumHash) ?? fetchSum(this.#party, round, sumHash);
    this.#sums.set(sumHash, fetching);
    const ended = (): void => void this.#sums.delete(sumHash); // it is in the store, or the next one to ask tries again
    fetching.then(ended, ended);
    return fetching;
  }

  /** All of it, checked as far as that goes without answers, while the members work on them. */
  gather(round: Round, decision: Decision): Promise<Gathered> {
    const gathering = this.#gathered.get(decision.hash) ?? this.#gather(round, decision);
    this.#gathered.set(decision.hash, gathering);
    gathering.catch(() => this.#gathered.delete(decision.hash)); // the next one to ask fetches again
    return gathering;
  }

  /** Lets go of what is in memory: a retry fetches again, for what was missing may be there then. */
  drop(decide: string): void {
    this.#gathered.delete(decide);
  }

  /** Removes every summed payload of an ended round; one that is still on its way goes when it is there. */
  async forget({ attempts }: Round): Promise<void> {
    const { blobs } = this.#party.store;
    const hashes = attempts.map(({ sumHash }) => sumHash);
    for (const hash of hashes) {
      this.#sums
        .get(hash)
        ?.then(() => blobs.removeAll([hash]))
        .catch(() => {}); // it never came, or this party stopped
    }
    await blobs.removeAll(hashes);
  }

  async #gather(round: Round, decision: Decision): Promise<Gathered> {
    const [context, correctionSum] = await Promise.all([
      payloadContext(round.record, this.#engine),
      fetchCorrectionSum(this.#party, round, decision),
      this.sum(round, decision.body.sumHash),
    ]);
    const blocks = await readBlocks(this.#party, context, decision.body.sumHash);
    return { context, correctionSum, sum: CheckedSum.of(context, decision.attempt, (j) => blocks[j]!) };
  }
}

/** Adds to `found` what one replica has of the answers; bytes that nobody logged are left out, and end the asking. */
async function takeAnswers(
  party: Party,
  decision: Decision,
  found: Map<string, Uint8Array>,
  replicas: readonly Connection[],
): Promise<void> {
  for (let before = -1; before < found.size && found.size < decision.answers.size; ) {
    before = found.size;
    const request = { decideHash: fromHex(decision.hash, 32), recipient: party.name, exceptMembers: [...found.keys()] };
    const { answers } = await askReplicas(replicas, (r) => r.callOnce(QuorumService.fetchAnswers, request, REPLICA_MS));
    for (const { member, sealed } of answers) {
      const logged = decision.answers.get(member)?.body.sealed.find((box) => box.recipient === party.name)?.hash;
      if (logged === toHex(primitives.sha256(sealed))) found.set(member, sealed);
    }
  }
}

/**
 * The sealed answers that the log names, as far as any replica has them.
 *
 * @throws what the last replica said where none could be asked: they may all be down.
 */
export async function fetchAnswers(party: Party, decision: Decision): Promise<Map<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  let failure: unknown = null;
  for (const replicas of [party.aggregators, ...party.aggregators.map((replica) => [replica])]) {
    if (found.size >= decision.answers.size) break;
    try {
      await takeAnswers(party, decision, found, replicas);
    } catch (error) {
      failure = error;
    }
  }
  if (found.size === 0 && failure !== null && !isWithoutBytes(failure)) throw failure;
  return found;
}
