import { fromHex, toHex, utf8 } from '../crypto/encoding.ts';
import { makeSigner } from '../crypto/note.ts';
import { download, sendBlob } from '../src/grpc/download.ts';
import { implement } from '../src/grpc/handlers.ts';
import { receiveUpload } from '../src/grpc/receive-upload.ts';
import { AggregationService, RoundService } from '../src/grpc/services.ts';
import { upload } from '../src/grpc/upload.ts';
import { checkpointSeed } from '../src/keys/card.ts';
import { chunkSink, sourceOfBlob } from '../src/party/chunk-sink.ts';
import { witnessesOf } from '../src/party/coordinator.ts';
import { logService } from '../src/party/log-service.ts';
import { openParty, type Party, primitives as p, serve } from '../src/party/party.ts';
import type { BlobReader, Store } from '../src/store/port.ts';
import {
  type Keys,
  makePlainLeaf,
  PlainKeeper,
  type PlainLeaf,
  PlainReader,
  readPlainLeaf,
} from './round-plain-log.ts';

/**
 * The round without encryption that bench/round.ts measures against: nodes upload little-endian 32-bit integers, an
 * aggregator adds them, the recipient fetches the sum. Same TLS, resumable upload with durable chunks, store, replicas,
 * and a log with four kinds of leaves under the same cosignatures.
 */
const ADD_BYTES = 1 << 20;
/** Anything: the round service's messages are used with another meaning. */
const roundOf = (leaf: PlainLeaf): number => leaf.round;
const roundId = (round: number): Uint8Array => p.sha256(utf8(`round ${round}`));

const ofRound = (leaves: readonly PlainLeaf[], kind: PlainLeaf['kind'], round: number): PlainLeaf[] =>
  leaves.filter((leaf) => leaf.kind === kind && roundOf(leaf) === round);

const NODES = 4;

export async function runPlainCoordinator(folder: string, keys: Keys): Promise<PlainKeeper> {
  const party = await openParty(folder);
  const signer = makeSigner(p, 'ed25519', party.genesis.origin, checkpointSeed(p, party.folder.identity));
  const keeper = await PlainKeeper.open(party, signer, witnessesOf(party), keys);
  const rounds = implement(RoundService, {
    // The request's task holds the round's number.
    open: async ({ task }) => {
      const round = Number(new TextDecoder().decode(task));
      const leafIndex = await keeper.append(makePlainLeaf(party, { kind: 'open', round, hash: '', bytes: 0 }));
      void closeWhenComplete(party, keeper, round);
      return { roundId: roundId(round), leafIndex: BigInt(leafIndex) };
    },
    list: async () => ({ rounds: [], nextIndex: 0n }),
    abort: async () => ({ leafIndex: 0n }),
  });
  const served = logService(keeper);
  // The real service looks into leaves that this log does not have.
  const append = async ({ leaf }: { leaf: Uint8Array }) => ({ leafIndex: BigInt(await keeper.append(leaf)) });
  const log = { ...served, handlers: { ...served.handlers, append } };
  await serve(
    party,
    [log, rounds],
    () => keeper.log.size,
    () => null,
  );
  return keeper;
}

async function closeWhenComplete(party: Party, keeper: PlainKeeper, round: number): Promise<void> {
  const uploads = (): PlainLeaf[] => ofRound(keeper.leaves, 'upload', round);
  await new Promise<void>((resolve) => {
    const forget = keeper.onChange(() => {
      if (uploads().length < NODES) return;
      forget();
      resolve();
    });
  });
  const request = { roundId: roundId(round), attempt: 1, payloadHashes: [utf8(String(round))] };
  const { sumHash, sumBytes } = await party.aggregators[0]!.call(AggregationService.sum, request, {
    deadlineMs: 60_000,
  });
  await keeper.append(makePlainLeaf(party, { kind: 'close', round, hash: toHex(sumHash), bytes: Number(sumBytes) }));
}

/** Adds MiB by MiB: memory is that of one piece, as for encrypted payloads. */
async function* addPieces(payloads: readonly BlobReader[]): AsyncGenerator<Uint8Array> {
  const total = payloads[0]!.lengthBytes;
  for (let at = 0; at < total; at += ADD_BYTES) {
    const bytes = Math.min(ADD_BYTES, total - at);
    const sum = new Int32Array(bytes / 4);
    for (const payload of payloads) {
      const piece = await payload.read(at, bytes);
      const values = new Int32Array(piece.buffer, piece.byteOffset, sum.length);
      for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + values[i]!;
    }
    yield new Uint8Array(sum.buffer);
  }
}

async function addUp(store: Store, uploads: readonly PlainLeaf[]): Promise<{ hash: string; lengthBytes: number }> {
  const payloads: BlobReader[] = [];
  try {
    for (const { hash } of uploads) payloads.push(await store.blobs.open(hash));
    return await store.blobs.put(addPieces(payloads));
  } finally {
    for (const payload of payloads) payload[Symbol.dispose]();
  }
}

const unused = async (): Promise<never> => {
  throw new Error('not part of a plain round');
};

export async function runPlainAggregator(folder: string, stateFolder: string, keys: Keys): Promise<void> {
  const party = await openParty(folder, stateFolder);
  const { store } = party;
  const log = new PlainReader(party, keys, false);
  const aggregation = implement(AggregationService, {
    upload: receiveUpload(chunkSink(store), {
      admit: async ({ leaf }) => {
        const { round, actor, hash, bytes } = readPlainLeaf(keys, leaf);
        await log.until((leaves) => ofRound(leaves, 'open', round)[0] ?? null);
        const id = `${round}/${actor}/${hash}`;
        await store.uploads.begin(id, { lengthBytes: bytes, hash });
        return { id, lengthBytes: bytes, hash: fromHex(hash, 32) };
      },
      complete: async (_announced, { leaf }) => ({ leafIndex: BigInt(await party.append(leaf)) }),
    }),
    sum: async ({ payloadHashes }) => {
      const round = Number(new TextDecoder().decode(payloadHashes[0]));
      const uploads = await log.until((leaves) => {
        const found = ofRound(leaves, 'upload', round);
        return found.length === NODES ? found : null;
      });
      const { hash, lengthBytes } = await addUp(store, uploads);
      return { sumHash: fromHex(hash, 32), sumBytes: BigInt(lengthBytes) };
    },
    fetchSum: async function* ({ sumHash, offsetBytes }) {
      using reader = await store.blobs.open(toHex(sumHash));
      yield* sendBlob(sourceOfBlob(reader), offsetBytes);
    },
    uploadStatus: unused,
    confirm: unused,
    reseal: unused,
    fetchBoxes: unused,
    fetchMaskSum: unused,
    fetchCorrection: unused,
  });
  await serve(
    party,
    [aggregation],
    () => 0,
    () => null,
  );
  log.start();
}

/** Rounds one after the other: as each is opened, the node's update is stored, then sent. */
export async function runPlainNode(folder: string, keys: Keys, update: (round: number) => Int32Array): Promise<void> {
  const party = await openParty(folder);
  await serve(
    party,
    [],
    () => 0,
    () => null,
  );
  const log = new PlainReader(party, keys, true);
  log.start();
  const run = async (): Promise<void> => {
    for (let round = 1; ; round++) {
      await log.until((leaves) => ofRound(leaves, 'open', round)[0] ?? null);
      const values = update(round);
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      const { hash, lengthBytes } = await party.store.blobs.put([bytes]);
      const leaf = makePlainLeaf(party, { kind: 'upload', round, hash, bytes: lengthBytes });
      using payload = await party.store.blobs.open(hash);
      const header = { roundId: roundId(round), leaf };
      await upload(party.aggregators, AggregationService.upload, header, payload);
      await log.until((leaves) => ofRound(leaves, 'release', round)[0] ?? null);
      await party.store.blobs.remove(hash);
    }
  };
  void run();
}

/** Fetches each sum, checks it against the close leaf, keeps it, and logs its release. */
export async function runPlainRecipient(
  folder: string,
  keys: Keys,
  opened: (round: number, values: Int32Array) => void,
): Promise<void> {
  const party = await openParty(folder);
  await serve(
    party,
    [],
    () => 0,
    () => null,
  );
  const log = new PlainReader(party, keys, true);
  log.start();
  const run = async (): Promise<void> => {
    for (let round = 1; ; round++) {
      const close = await log.until((leaves) => ofRound(leaves, 'close', round)[0] ?? null);
      const { blobs, records } = party.store;
      const chunks: Uint8Array[] = [];
      const request = (offsetBytes: bigint) => ({ sumHash: fromHex(close.hash, 32), offsetBytes });
      const options = { expectedBytes: close.bytes, maxBytes: close.bytes };
      const take = (chunk: Uint8Array): void => void chunks.push(chunk);
      await download(party.aggregators, AggregationService.fetchSum, request, take, options);
      const { hash } = await blobs.put(chunks);
      if (hash !== close.hash) throw new Error('another sum than the one that was closed over');
      await records.transact((tx) => tx.put('results', String(round), utf8(hash)));
      const bytes = await blobs.get(hash);
      await party.append(makePlainLeaf(party, { kind: 'release', round, hash, bytes: bytes.length }));
      opened(round, new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4));
    }
  };
  void run();
}
