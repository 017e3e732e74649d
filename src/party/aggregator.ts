import { fromHex, toHex } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import {
  addCorrections,
  checkBoxSizes,
  checkSharing,
  checkUploadSharing,
  roundOfComplaint,
} from '../../protocols/aggregator.ts';
import { boxHashFor, holderOf } from '../../protocols/disputes.ts';
import { isRejection, ProtocolError, type Rejection } from '../../protocols/errors.ts';
import { judge, verifyNext } from '../../protocols/rules.ts';
import { findAttempt, findDecision, findParty, type Transcript } from '../../protocols/transcript.ts';
import { isKind, type SignedLeaf, type Verified } from '../../protocols/verified.ts';
import { sendBlob } from '../grpc/download.ts';
import { type CallContext, implement } from '../grpc/handlers.ts';
import { receiveUpload } from '../grpc/receive-upload.ts';
import { AggregationService, QuorumService } from '../grpc/services.ts';
import { StoreError } from '../store/errors.ts';
import type { Store } from '../store/port.ts';
import { chunkSink, dropUpload, sourceOfBlob } from './chunk-sink.ts';
import { DutyLoop } from './duty-loop.ts';
import { EndedRounds } from './ended-rounds.ts';
import { warmEngines } from './engines.ts';
import { FirstConfirms } from './first-confirms.ts';
import type { LogReader } from './log-reader.ts';
import { openParty, type Party, primitives, readLog, serve } from './party.ts';
import { checkPayload, foldUploads, sumPayloads } from './payload-sums.ts';
import type { Running } from './running.ts';
import { keepSharing } from './upload-sharing.ts';

/** How long a call may wait for this replica's log to catch up with the caller's, in ms: less than a caller waits. */
const CATCH_UP_MS = 3000;

/** Boxes and answers go out in messages of about this many bytes. */
const ANSWER_BYTES = 1 << 20;
/** Most nodes of a round. */
const MOST_NODES = 1024;

const hashOf = (bytes: Uint8Array): string => toHex(primitives.sha256(bytes));

function refuse(rejection: Rejection): never {
  throw new ProtocolError(rejection.rejected, rejection.why);
}

/** Waits until the log, as this replica sees it, says something. @throws ProtocolError with the code for what is missing. */
async function until<T extends object | string>(
  log: LogReader,
  missing: 'UNKNOWN_ROUND' | 'UNKNOWN_CLOSE' | 'UNKNOWN_CONFIRM' | 'UNKNOWN_DECISION',
  find: (t: Transcript) => T | null | undefined,
): Promise<T> {
  try {
    return await log.until(find, AbortSignal.timeout(CATCH_UP_MS));
  } catch (cause) {
    throw new ProtocolError(missing, 'the log shows no such thing', { cause });
  }
}

/** A leaf that a caller wants in the log: its own, of a kind that goes through aggregators, and such as would count. */
function admit(log: LogReader, bytes: Uint8Array, context: CallContext): Verified<SignedLeaf> {
  const signed = verifyNext(primitives, log.transcript, bytes);
  if (isRejection(signed)) refuse(signed);
  if (signed.leaf.actor !== context.peer.name) {
    throw new ProtocolError('WRONG_ROLE', "the leaf is another party's than the connection's");
  }
  return signed;
}

/**
 * Refuses a leaf that would not count before anything that comes with it is kept. The same leaf again, after a lost
 * answer, passes: the log gives it its old index.
 */
function judgeFirst(log: LogReader, signed: Verified<SignedLeaf>): void {
  if (log.transcript.leaves.has(signed.hash)) return;
  const verdict = judge(primitives, log.transcript, signed);
  if (isRejection(verdict)) refuse(verdict);
}

/** What a holder's boxes of an attempt hash to; null for who holds none, and while the log does not show one of the confirmations. */
function boxHashesOf(t: Transcript, close: string, nodes: readonly string[], holder: string): string[] | null {
  const found = findAttempt(t, close);
  if (found === null || holderOf(found.round.record, holder) === null) return null;
  const confirms = nodes.map((node) => found.attempt.confirms.get(node));
  if (!confirms.every((confirm) => confirm !== undefined)) return null;
  return confirms.map((confirm) => boxHashFor(found.attempt, confirm, holder));
}

/** A blob; null where it was lost or is rotten. */
async function getOrNull(store: Store, hash: string): Promise<Uint8Array | null> {
  try {
    return await store.blobs.get(hash);
  } catch (error) {
    if (error instanceof StoreError && (error.code === 'NOT_FOUND' || error.code === 'CORRUPT')) return null;
    throw error;
  }
}

function aggregation(party: Party, log: LogReader) {
  const { store } = party;
  const firstConfirms = new FirstConfirms();
  const attemptOf = (closeHash: Uint8Array) => until(log, 'UNKNOWN_CLOSE', (t) => findAttempt(t, toHex(closeHash)));
  return implement(AggregationService, {
    uploadStatus: async ({ roundId }, { peer }) => {
      const upload = log.transcript.rounds.get(toHex(roundId))?.uploads.get(peer.name);
      const kept = await store.uploads.list();
      const mine = kept.find(({ id }) => id.startsWith(`${toHex(roundId)}/${peer.name}/`));
      const receivedBytes = BigInt(upload?.body.payloadBytes ?? mine?.receivedBytes ?? 0);
      return upload === undefined ? { receivedBytes } : { receivedBytes, leafIndex: BigInt(upload.index) };
    },
    upload: receiveUpload(chunkSink(store), {
      admit: async ({ roundId, leaf, sharing }, context) => {
        await until(log, 'UNKNOWN_ROUND', (t) => t.rounds.get(toHex(roundId)));
        const signed = admit(log, leaf, context);
        if (!isKind(signed, 'upload') && !isKind(signed, 'one-shot'))
          throw new ProtocolError('MALFORMED', 'the header holds no upload leaf');
        const { round, payloadHash, payloadBytes } = signed.leaf.body;
        if (round !== toHex(roundId)) throw new ProtocolError('UNKNOWN_ROUND', 'header and leaf name different rounds');
        judgeFirst(log, signed);
        const missing = checkUploadSharing(hashOf, log.transcript, signed.leaf, sharing);
        if (missing !== null) refuse(missing);
        const id = `${round}/${context.peer.name}/${payloadHash}`;
        await store.uploads.begin(id, { lengthBytes: payloadBytes, hash: payloadHash });
        return { id, lengthBytes: payloadBytes, hash: fromHex(payloadHash, 32) };
      },
      complete: async (announced, { roundId, leaf, sharing }, { peer }) => {
        const round = log.transcript.rounds.get(toHex(roundId))!;
        await checkPayload(store, round, toHex(announced.hash)).catch(async (error) => {
          // No leaf will name it, and its node could bring another one after the next.
          if (error instanceof CryptoError) await dropUpload(store, announced.id, toHex(announced.hash));
          throw error;
        });
        if (sharing !== undefined) await keepSharing(store, { round: round.id, node: peer.name }, sharing);
        return { leafIndex: BigInt(await party.append(leaf)) };
      },
    }),
    confirm: async ({ leaf, correction, boxes }, context) => {
      const signed = admit(log, leaf, context);
      if (!isKind(signed, 'confirm')) throw new ProtocolError('MALFORMED', 'not a confirm leaf');
      const { body } = signed.leaf;
      const { round } = await attemptOf(fromHex(body.close, 32));
      judgeFirst(log, signed);
      const problem = checkSharing(hashOf, round.record, body, { correction, boxes });
      if (problem !== null) refuse(problem);
      if (!firstConfirms.admit(log.transcript, body.close, context.peer.name, signed.hash))
        throw new ProtocolError('DUPLICATE_CONFIRM', 'another confirmation of this attempt came before');
      await store.blobs.putAll([correction, ...boxes.map((box) => box.sealed)]);
      return { leafIndex: BigInt(await party.append(leaf)) };
    },
    reseal: async ({ leaf, box }, context) => {
      const signed = admit(log, leaf, context);
      if (!isKind(signed, 'reseal') || box === undefined)
        throw new ProtocolError('MALFORMED', 'not a reseal leaf with its box');
      if (hashOf(box.sealed) !== signed.leaf.body.hash)
        throw new ProtocolError('PAYLOAD_HASH', 'not the box that the leaf names');
      const { confirm, holder } = signed.leaf.body;
      const { record } = await until(log, 'UNKNOWN_CONFIRM', (t) => roundOfComplaint(t, confirm, holder));
      judgeFirst(log, signed);
      const problem = checkBoxSizes(record, [{ holder, sealed: box.sealed }]);
      if (problem !== null) refuse(problem);
      await store.blobs.put([box.sealed]);
      return { leafIndex: BigInt(await party.append(leaf)) };
    },
    fetchBoxes: async ({ closeHash, nodes, holder }, { peer }) => {
      if (holder !== peer.name) throw new ProtocolError('WRONG_ROLE', 'a holder fetches its own boxes only');
      if (nodes.length === 0 || nodes.length > MOST_NODES)
        throw new ProtocolError('MALFORMED', 'boxes of 1 to 1,024 nodes are asked for at once');
      const hashes = await until(log, 'UNKNOWN_CONFIRM', (t) => boxHashesOf(t, toHex(closeHash), nodes, holder));
      const boxes: { node: string; sealed: Uint8Array }[] = [];
      for (let i = 0, bytes = 0; i < nodes.length && bytes < ANSWER_BYTES; i++) {
        const sealed = await getOrNull(store, hashes[i]!);
        if (sealed === null) continue; // another replica may have it
        boxes.push({ node: nodes[i]!, sealed });
        bytes += sealed.length;
      }
      return { boxes };
    },
    sum: async ({ roundId, payloadHashes }) => {
      const round = await until(log, 'UNKNOWN_ROUND', (t) => t.rounds.get(toHex(roundId)));
      const { hash, bytes } = await sumPayloads(store, round, payloadHashes.map(toHex));
      return { sumHash: fromHex(hash, 32), sumBytes: BigInt(bytes) };
    },
    fetchSum: async function* ({ sumHash, offsetBytes }) {
      using reader = await store.blobs.open(toHex(sumHash));
      yield* sendBlob(sourceOfBlob(reader), offsetBytes);
    },
    fetchMaskSum: async ({ closeHash }) => {
      const found = await until(log, 'UNKNOWN_CONFIRM', (t) => {
        const at = findAttempt(t, toHex(closeHash));
        return at !== null && at.attempt.confirms.size === at.attempt.cohort.length ? at : null;
      });
      const corrections = await Promise.all(
        [...found.attempt.confirms.values()].map((c) => store.blobs.get(c.body.correctionHash)),
      );
      const correctionSum = addCorrections(found.round.record, corrections);
      await store.blobs.put([correctionSum]);
      return { correctionSum };
    },
    fetchCorrection: async ({ closeHash, node }) => {
      const { attempt } = await attemptOf(closeHash);
      const confirm = attempt.confirms.get(node);
      if (confirm === undefined) throw new ProtocolError('UNKNOWN_CONFIRM', 'the node has not confirmed');
      return { correction: await store.blobs.get(confirm.body.correctionHash) };
    },
  });
}

function quorum(party: Party, log: LogReader) {
  const { store } = party;
  return implement(QuorumService, {
    putAnswer: async ({ leaf, sealed }, context) => {
      const signed = admit(log, leaf, context);
      if (!isKind(signed, 'answer')) throw new ProtocolError('MALFORMED', 'not an answer leaf');
      await until(log, 'UNKNOWN_DECISION', (t) => findDecision(t, signed.leaf.body.decide));
      judgeFirst(log, signed);
      const named = signed.leaf.body.sealed;
      const same =
        sealed.length === named.length &&
        sealed.every((box, i) => box.recipient === named[i]!.recipient && hashOf(box.sealed) === named[i]!.hash);
      if (!same) throw new ProtocolError('PAYLOAD_HASH', 'not the answers that the leaf names');
      await store.blobs.putAll(sealed.map((box) => box.sealed));
      return { leafIndex: BigInt(await party.append(leaf)) };
    },
    fetchAnswers: async ({ decideHash, recipient, exceptMembers }, { peer }) => {
      if (recipient !== peer.name) throw new ProtocolError('WRONG_ROLE', 'a recipient fetches its own answers only');
      const decision = await until(log, 'UNKNOWN_DECISION', (t) => findDecision(t, toHex(decideHash)));
      const answers: { member: string; sealed: Uint8Array }[] = [];
      let bytes = 0;
      let more = false;
      for (const [member, { body }] of decision.answers) {
        if (exceptMembers.includes(member)) continue;
        const sealed = await getOrNull(store, body.sealed.find((box) => box.recipient === recipient)!.hash);
        if (sealed === null) continue; // the others may be enough
        bytes += sealed.length;
        if (answers.length > 0 && bytes > ANSWER_BYTES) {
          more = true;
          break;
        }
        answers.push({ member, sealed });
      }
      return { answers, more };
    },
  });
}

/**
 * Runs an aggregator: it holds no key of a round and no state of its own. All replicas of one machine share a state
 * folder, and any of them can go on with what another one began.
 *
 * @param keepBlobs - keeps what ended rounds leave, for audits that add up the payloads again: the disk grows by every round.
 */
export async function runAggregator(
  folder: string,
  stateFolder: string,
  listen?: string,
  keepBlobs = false,
): Promise<Running> {
  const party = await openParty(folder, stateFolder, listen);
  const log = readLog(party, false);
  const server = await serve(
    party,
    [aggregation(party, log), quorum(party, log)],
    () => log.head?.size ?? 0,
    () => log.transcript,
  );
  // Sums grow while uploads arrive. One duty at a time; a failure costs only that the close adds up more.
  const ended = new EndedRounds(party.store);
  const folding = new DutyLoop(async () => {
    for (const round of log.transcript.rounds.values()) {
      if (round.phase === 'uploading' && (await foldUploads(party.store, round, party.name))) return true;
    }
    return !keepBlobs && (await ended.clear(log.transcript));
  }, party.say);
  let isToldApart = false;
  log.onHead(() => {
    if (!isToldApart && log.isCaughtUp && findParty(log.transcript, party.name) === null)
      party.say('not enrolled yet', {
        todo: "the log does not name this aggregator: the founders enrol its card with 'veilsum enrol'",
      });
    isToldApart = log.isCaughtUp;
    party.links.follow(log.transcript);
    server.recheckCallers();
    warmEngines(log.transcript.rounds.values(), 'kernel');
    folding.poke();
  });
  log.start();
  folding.start(60_000);
  return {
    address: server.address,
    stop: async () => {
      await folding.stop();
      await log.stop();
      await server.stop();
      await party.store[Symbol.asyncDispose]();
    },
  };
}
