import { toHex } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { ringShape } from '../../crypto/params.ts';
import { createSum, type PayloadContext } from '../../crypto/payload.ts';
import {
  addCorrections,
  checkBoxes,
  checkCorrection,
  otherHashesOf,
  payloadHashesOf,
} from '../../protocols/aggregator.ts';
import { boxHashFor } from '../../protocols/disputes.ts';
import { isRejection } from '../../protocols/errors.ts';
import { recordHashOf } from '../../protocols/record.ts';
import { judge, verifyNext } from '../../protocols/rules.ts';
import { findAttempt, findDecision, isOver, type Round } from '../../protocols/transcript.ts';
import { isKind, type SignedLeaf, type Verified } from '../../protocols/verified.ts';
import { splitBlocks } from './memory-world.ts';
import type { Request, Response } from './messages.ts';
import { CallFailed } from './network.ts';
import { accepted, type Services, type Task } from './process.ts';
import { ReaderProcess } from './reader-process.ts';

const blobKey = (hash: string): string => `blobs/${hash}`;

/**
 * An aggregator replica. Mirrors src/party/aggregator.ts and payload-sums.ts; all replicas share one disk, as they share a
 * state folder, and none keeps a head. Uploads come whole: the resuming of transfers is not modelled, nor is folding,
 * which begins at eight uploads.
 */
export class AggregatorProcess extends ReaderProcess {
  #cleared = new Map<string, 'payloads' | 'all'>();
  readonly services: Services = {
    upload: (request, peer) => this.#upload(request, peer),
    confirm: (request, peer) => this.#confirm(request, peer),
    reseal: (request, peer) => this.#reseal(request, peer),
    fetchBox: (request, peer) => this.fetchBox(request, peer),
    sum: (request) => this.#sum(request),
    fetchSum: (hash) => this.#blob(hash),
    fetchMaskSum: (close) => this.#maskSum(close),
    fetchCorrection: (request) => this.#correction(request),
    putAnswer: (request, peer) => this.#putAnswer(request, peer),
    fetchAnswers: (request, peer) => this.fetchAnswers(request, peer),
  };

  protected override begin(): void {
    this.#cleared = new Map();
    super.begin();
  }

  /** Ended rounds' blobs go, as src/party/ended-rounds.ts has it: payloads at once, the rest once another round ends. */
  protected *act(): Task<boolean> {
    const ended = [...this.t.rounds.values()].filter((round) => isOver(this.t, round));
    const due = ended.filter((round) => this.#cleared.get(round.id) !== (round === ended.at(-1) ? 'payloads' : 'all'));
    for (const round of due) {
      const goal = round === ended.at(-1) ? 'payloads' : 'all';
      const spent = goal === 'all' ? [...payloadHashesOf(round), ...otherHashesOf(round)] : payloadHashesOf(round);
      yield* this.write(spent.map((hash) => [blobKey(hash), null]));
      this.#cleared.set(round.id, goal);
    }
    return due.length > 0;
  }

  #admit(bytes: Uint8Array, peer: string): Verified<SignedLeaf> {
    const signed = accepted(verifyNext(this.primitives, this.t, bytes));
    if (signed.leaf.actor !== peer) throw new CallFailed('WRONG_ROLE');
    return signed;
  }

  #judgeFirst(signed: Verified<SignedLeaf>): void {
    if (this.t.leaves.has(signed.hash)) return;
    const verdict = judge(this.primitives, this.t, signed);
    if (isRejection(verdict)) throw new CallFailed(verdict.rejected, verdict.why);
  }

  #blob(hash: string): Uint8Array {
    const bytes = this.disk.get<Uint8Array>(blobKey(hash));
    if (bytes === undefined) throw new CallFailed('NOT_FOUND');
    return bytes;
  }

  *#upload({ leaf, payload }: Request<'upload'>, peer: string): Task<number> {
    const signed = this.#admit(leaf, peer);
    if (!isKind(signed, 'upload')) throw new CallFailed('MALFORMED');
    const { body } = signed.leaf;
    const round = yield* this.until((t) => t.rounds.get(body.round), new CallFailed('UNKNOWN_ROUND'));
    this.#judgeFirst(signed);
    if (payload.length !== body.payloadBytes || this.founding.hash(payload) !== body.payloadHash) {
      throw new CallFailed('PAYLOAD_HASH');
    }
    yield* this.write([[blobKey(body.payloadHash), payload]]);
    this.#add(round, [payload]);
    return yield* this.append(leaf);
  }

  *#confirm({ leaf, correction, boxes }: Request<'confirm'>, peer: string): Task<number> {
    const signed = this.#admit(leaf, peer);
    if (!isKind(signed, 'confirm')) throw new CallFailed('MALFORMED');
    const { body } = signed.leaf;
    const found = yield* this.until((t) => findAttempt(t, body.close), new CallFailed('UNKNOWN_CLOSE'));
    this.#judgeFirst(signed);
    const hashOf = (bytes: Uint8Array): string => this.founding.hash(bytes);
    if (hashOf(correction) !== body.correctionHash) throw new CallFailed('PAYLOAD_HASH');
    const problem = checkCorrection(found.round.record, correction) ?? checkBoxes(hashOf, body, boxes);
    if (problem !== null) throw new CallFailed(problem.rejected, problem.why);
    const blobs = [correction, ...boxes.map((box) => box.sealed)];
    yield* this.write(blobs.map((bytes) => [blobKey(hashOf(bytes)), bytes]));
    return yield* this.append(leaf);
  }

  *#reseal({ leaf, box }: Request<'reseal'>, peer: string): Task<number> {
    const signed = this.#admit(leaf, peer);
    if (!isKind(signed, 'reseal')) throw new CallFailed('MALFORMED');
    if (this.founding.hash(box.sealed) !== signed.leaf.body.hash) throw new CallFailed('PAYLOAD_HASH');
    yield* this.write([[blobKey(signed.leaf.body.hash), box.sealed]]);
    return yield* this.append(leaf);
  }

  protected *fetchBox({ close, node, holder }: Request<'fetchBox'>, peer: string): Task<Uint8Array> {
    if (holder !== peer) throw new CallFailed('WRONG_ROLE');
    const hash = yield* this.until((t) => {
      const attempt = findAttempt(t, close)?.attempt;
      const confirm = attempt?.confirms.get(node);
      return attempt === undefined || confirm === undefined ? null : boxHashFor(attempt, confirm, holder);
    }, new CallFailed('UNKNOWN_CONFIRM'));
    return this.#blob(hash);
  }

  *#sum({ round: id, payloadHashes }: Request<'sum'>): Task<string> {
    const round = yield* this.until((t) => t.rounds.get(id), new CallFailed('UNKNOWN_ROUND'));
    const name = this.founding.hash(new TextEncoder().encode(`${id} ${payloadHashes.join()}`));
    const known = this.disk.get<string>(`payload-sums/${name}`);
    if (known !== undefined && this.disk.has(blobKey(known))) return known;
    const payloads: Uint8Array[] = [];
    for (const hash of payloadHashes) payloads.push(this.#blob(hash));
    const sum = this.#add(round, this.tamperPayloads(payloads, round));
    const hash = this.founding.hash(sum);
    yield* this.write([[blobKey(hash), sum]]);
    yield* this.write([[`payload-sums/${name}`, hash]]);
    return hash;
  }

  /** @throws CallFailed MALFORMED for a payload that is none. */
  #add(round: Round, payloads: readonly Uint8Array[]): Uint8Array {
    const { parameters } = round.record;
    const engine = this.founding.engine(ringShape(parameters));
    const recordHash = recordHashOf(this.primitives, round.record);
    const context: PayloadContext = { parameters, recordHash, engine, primitives: this.primitives };
    using sum = createSum(context);
    try {
      for (const payload of payloads) for (const [block, wire] of splitBlocks(context, payload)) sum.add(block, wire);
    } catch (error) {
      if (error instanceof CryptoError) throw new CallFailed('MALFORMED', error.code);
      throw error;
    }
    return sum.block(0);
  }

  *#maskSum(close: string): Task<Uint8Array> {
    const found = yield* this.until((t) => {
      const at = findAttempt(t, close);
      return at !== null && at.attempt.confirms.size === at.attempt.cohort.length ? at : null;
    }, new CallFailed('UNKNOWN_CONFIRM'));
    const corrections: Uint8Array[] = [];
    for (const confirm of found.attempt.confirms.values()) {
      corrections.push(this.#blob(confirm.body.correctionHash));
    }
    const correctionSum = addCorrections(found.round.record, this.tamperCorrections(corrections));
    yield* this.write([[blobKey(this.founding.hash(correctionSum)), correctionSum]]);
    return correctionSum;
  }

  *#correction({ close, node }: Request<'fetchCorrection'>): Task<Uint8Array> {
    const found = yield* this.until((t) => findAttempt(t, close), new CallFailed('UNKNOWN_CLOSE'));
    const confirm = found.attempt.confirms.get(node);
    if (confirm === undefined) throw new CallFailed('UNKNOWN_CONFIRM');
    return this.#blob(confirm.body.correctionHash);
  }

  *#putAnswer({ leaf, sealed }: Request<'putAnswer'>, peer: string): Task<number> {
    const signed = this.#admit(leaf, peer);
    if (!isKind(signed, 'answer')) throw new CallFailed('MALFORMED');
    const { body } = signed.leaf;
    yield* this.until((t) => findDecision(t, body.decide), new CallFailed('UNKNOWN_DECISION'));
    this.#judgeFirst(signed);
    const same =
      sealed.length === body.sealed.length &&
      sealed.every(({ recipient, sealed: bytes }, i) => {
        const named = body.sealed[i]!;
        return named.recipient === recipient && named.hash === toHex(this.primitives.sha256(bytes));
      });
    if (!same) throw new CallFailed('PAYLOAD_HASH');
    yield* this.write(sealed.map(({ sealed: bytes }) => [blobKey(this.founding.hash(bytes)), bytes]));
    return yield* this.append(leaf);
  }

  protected *fetchAnswers(
    { decide, recipient, except }: Request<'fetchAnswers'>,
    peer: string,
  ): Task<Response<'fetchAnswers'>> {
    if (recipient !== peer) throw new CallFailed('WRONG_ROLE');
    const decision = yield* this.until((t) => findDecision(t, decide), new CallFailed('UNKNOWN_DECISION'));
    const answers: { member: string; sealed: Uint8Array }[] = [];
    for (const [member, { body }] of decision.answers) {
      if (except.includes(member)) continue;
      const { hash } = body.sealed.find((box) => box.recipient === recipient)!;
      const sealed = this.disk.get<Uint8Array>(blobKey(hash));
      if (sealed !== undefined) answers.push({ member, sealed });
    }
    return answers;
  }

  /** An honest aggregator adds up what it was sent. Corrupt ones override these. */
  protected tamperPayloads(payloads: readonly Uint8Array[], _round: Round): readonly Uint8Array[] {
    return payloads;
  }
  protected tamperCorrections(corrections: readonly Uint8Array[]): readonly Uint8Array[] {
    return corrections;
  }
}
