import { createChecksum } from '../../crypto/checksum.ts';
import { fromHex } from '../../crypto/encoding.ts';
import { blockBytes, createEncryptor, type PayloadContext } from '../../crypto/payload.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import type { UploadHeader } from '../../proto/gen/veilsum/v1/aggregation.ts';
import { makeOneShot, RoundSecrets, uploadBody } from '../../protocols/node.ts';
import type { Round } from '../../protocols/transcript.ts';
import type { Connection } from '../grpc/connection.ts';
import { AggregationService } from '../grpc/services.ts';
import { upload } from '../grpc/upload.ts';
import type { BlobReader } from '../store/port.ts';
import { type EngineChoice, payloadContext } from './engines.ts';
import type { FinishedUpdate } from './finished-updates.ts';
import type { LogReader } from './log-reader.ts';
import { type Party, primitives, rng } from './party.ts';
import { putBlocks } from './payload-sums.ts';
import type { OnReceipt } from './receipts.ts';
import { readSharing, readUpload, writeSharing, writeUpload } from './upload-file.ts';

interface Encrypted {
  readonly payload: { readonly hash: string; readonly bytes: number };
  readonly secrets: RoundSecrets;
}

/** Encrypts an update block by block into the node's own store. */
async function encrypt(party: Party, engine: EngineChoice, round: Round, values: Int32Array): Promise<Encrypted> {
  const context = await payloadContext(round.record, engine);
  using seed = new SecretBytes('upload seed', rng(32));
  using encryptor = createEncryptor(context, values, seed);
  const blocks = function* () {
    for (let block = 0; block < context.parameters.blocks; block++) yield encryptor.block(block);
  };
  const { hash, lengthBytes } = await putBlocks(party.store, blocks());
  const secrets = new RoundSecrets(
    encryptor.key.slice(),
    new SecretBytes('update hash', encryptor.updateHash.bytes.slice()),
    new SecretBytes('mask key', rng(round.record.masking === 'none' ? 0 : 32)),
  );
  return { payload: { hash, bytes: lengthBytes }, secrets };
}

/** Encrypts an update, then keeps the round's secrets and the upload leaf. */
export async function prepareUpload(
  party: Party,
  log: LogReader,
  engine: EngineChoice,
  round: Round,
  values: Int32Array,
): Promise<void> {
  const { payload, secrets } = await encrypt(party, engine, round, values);
  using _ = secrets;
  const body = uploadBody(primitives, rng, round, secrets, payload, log.head!);
  // Last, because it says that the rest is complete: without it a restarted node begins anew, under a new key.
  writeUpload(party.rounds, round.id, party.leaf('upload', body), payload.hash, secrets);
}

/** The same in a round without masks: the key is shared at once, and the sharing kept before the upload. */
export async function prepareOneShot(
  party: Party,
  log: LogReader,
  engine: EngineChoice,
  round: Round,
  values: Int32Array,
  model: FinishedUpdate['model'],
): Promise<void> {
  const { payload, secrets } = await encrypt(party, engine, round, values);
  using _ = secrets;
  using fresh = new SecretBytes('round seed', rng(32));
  const place = { round, node: party.name };
  const t = log.transcript;
  const made = makeOneShot(primitives, rng, t, place, secrets, fresh, model, payload, log.head!);
  writeSharing(party.rounds, round.id, fresh, made);
  writeUpload(party.rounds, round.id, party.leaf('one-shot', made.body), payload.hash, secrets);
}

/** Sends the payload and its upload leaf to one aggregator after the other, until one has both. */
export async function sendUpload(party: Party, round: Round, onReceipt: OnReceipt<Connection>): Promise<void> {
  const { leaf, payloadHash, secrets } = readUpload(party.rounds, round.id);
  secrets[Symbol.dispose]();
  using payload: BlobReader = await party.store.blobs.open(payloadHash);
  const header: UploadHeader = {
    roundId: fromHex(round.id, 32),
    leaf,
    sharing: readSharing(party.rounds, round) ?? undefined,
  };
  let aggregator: Connection | null = null;
  const receipt = await upload(party.aggregators, AggregationService.upload, header, payload, {
    onReceipt: (peer) => {
      aggregator = peer;
    },
  });
  onReceipt(aggregator!, Number(receipt.leafIndex));
  party.say('uploaded', { round: round.record.number, bytes: payload.lengthBytes, leaf: Number(receipt.leafIndex) });
}

/** rho_i over the node's own payload. */
export async function checksumOf(
  party: Party,
  context: PayloadContext,
  payloadHash: string,
  closeHash: Uint8Array,
): Promise<Uint32Array> {
  using payload = await party.store.blobs.open(payloadHash);
  using checksum = createChecksum(context, closeHash);
  for (let block = 0, at = 0; block < context.parameters.blocks; block++) {
    const bytes = blockBytes(context.parameters, block);
    checksum.add(block, await payload.read(at, bytes));
    at += bytes;
  }
  return checksum.value();
}
