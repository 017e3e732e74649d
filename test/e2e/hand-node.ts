import { createChecksum } from '../../crypto/checksum.ts';
import { concat, fromHex } from '../../crypto/encoding.ts';
import { blockBytes, createEncryptor } from '../../crypto/payload.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { isRejection } from '../../protocols/errors.ts';
import type { Body, Kind } from '../../protocols/leaves.ts';
import { type Confirmation, makeConfirmation, RoundSecrets, uploadBody } from '../../protocols/node.ts';
import type { Attempt, Round } from '../../protocols/transcript.ts';
import { makeLeaf } from '../../protocols/verified.ts';
import type { Connection } from '../../src/grpc/connection.ts';
import { AggregationService } from '../../src/grpc/services.ts';
import { sourceOf } from '../../src/grpc/transfer.ts';
import { upload } from '../../src/grpc/upload.ts';
import { payloadContext } from '../../src/party/engines.ts';
import { openParty, type Party, primitives, rng } from '../../src/party/party.ts';
import type { FederationLab } from './federation-lab.ts';
import { updateOf } from './lab-parties.ts';

/** What a node would send for a round: honest unless a test changes it. */
export interface Prepared {
  readonly round: Round;
  readonly payload: Uint8Array;
  readonly body: Body<'upload'>;
  readonly secrets: RoundSecrets;
}

/** A node moved by hand: the keys and connections of one, and no loop. Whatever a test sends, it sends as this node. */
export class HandNode implements AsyncDisposable {
  readonly lab: FederationLab;
  readonly party: Party;

  private constructor(lab: FederationLab, party: Party) {
    this.lab = lab;
    this.party = party;
  }

  static async open(lab: FederationLab, name: string): Promise<HandNode> {
    return new HandNode(lab, await openParty(lab.path(name)));
  }

  get name(): string {
    return this.party.name;
  }

  leaf<K extends Kind>(kind: K, body: Body<K>): Uint8Array {
    return this.party.leaf(kind, body);
  }

  /** A leaf that says it is this node's, signed with a key that is not. */
  forged<K extends Kind>(kind: K, body: Body<K>): Uint8Array {
    using secret = new SecretBytes('another key', rng(32));
    return makeLeaf(primitives, { name: this.name, log: this.lab.policy.genesis, secret }, kind, body, 1);
  }

  async prepare(id: string, values?: Int32Array): Promise<Prepared> {
    const round = this.lab.round(id);
    const { dimension } = round.record.parameters;
    const context = await payloadContext(round.record, 'kernel');
    using seed = new SecretBytes('upload seed', rng(32));
    using encryptor = createEncryptor(context, values ?? updateOf(this.name, round.record.number, dimension), seed);
    const payload = concat(...Array.from({ length: context.parameters.blocks }, (_, j) => encryptor.block(j)));
    const secrets = new RoundSecrets(
      encryptor.key.slice(),
      new SecretBytes('update hash', encryptor.updateHash.bytes.slice()),
      new SecretBytes('mask key', rng(32)),
    );
    return { round, payload, secrets, body: this.bodyOf(round, secrets, payload) };
  }

  /** The upload leaf's body for some bytes. */
  bodyOf(round: Round, secrets: RoundSecrets, payload: Uint8Array): Body<'upload'> {
    const hash = Buffer.from(primitives.sha256(payload)).toString('hex');
    return uploadBody(primitives, rng, round, secrets, { hash, bytes: payload.length }, this.lab.log.head!);
  }

  /**
   * Sends an upload exactly as told, once.
   *
   * @param chunks - sent one after the other, whatever was announced. @returns the index of its leaf.
   */
  async send(id: string, leaf: Uint8Array, chunks: readonly Uint8Array[], to: Connection = this.party.aggregators[0]!) {
    const stream = to.duplex(AggregationService.upload);
    try {
      await stream.write({ part: { $case: 'header', value: { roundId: fromHex(id, 32), leaf } } });
      await stream.read();
      for (const value of chunks) {
        await stream.write({ part: { $case: 'chunk', value } });
        await stream.read();
      }
      stream.finish();
      const last = await stream.read();
      await stream.read();
      if (last?.part?.$case !== 'receipt') throw new Error('no receipt');
      return Number(last.part.value.leafIndex);
    } finally {
      stream.cancel();
    }
  }

  /** Sends an honest upload, going on where an earlier attempt ended. */
  async upload({ round, body, payload }: Prepared, leaf = this.leaf('upload', body)): Promise<number> {
    const header = { roundId: fromHex(round.id, 32), leaf };
    const receipt = await upload(this.party.aggregators, AggregationService.upload, header, sourceOf(payload));
    return Number(receipt.leafIndex);
  }

  /** An honest confirmation, not sent. */
  async confirmation({ round, payload, secrets }: Prepared, attempt: Attempt): Promise<Confirmation> {
    const context = await payloadContext(round.record, 'kernel');
    using checksum = createChecksum(context, fromHex(attempt.close, 32));
    for (let block = 0, at = 0; block < context.parameters.blocks; block++) {
      const bytes = blockBytes(context.parameters, block);
      checksum.add(block, payload.subarray(at, at + bytes));
      at += bytes;
    }
    using fresh = new SecretBytes('attempt seed', rng(32));
    const place = { round, attempt, node: this.name };
    const { transcript } = this.lab.log;
    const value = checksum.value();
    const made = makeConfirmation(primitives, rng, transcript, this.lab.policy, place, secrets, fresh, value);
    if (isRejection(made)) throw new Error(`${made.rejected}: ${made.why}`);
    return made;
  }

  /** Sends a confirmation. @param over - what the leaf says otherwise than it should. */
  async confirm(made: Confirmation, over: Partial<Confirmation> & { leaf?: Uint8Array } = {}): Promise<number> {
    const { body, correction, boxes } = { ...made, ...over };
    const request = { leaf: over.leaf ?? this.leaf('confirm', body), correction, boxes: [...boxes] };
    return Number((await this.party.aggregators[0]!.call(AggregationService.confirm, request)).leafIndex);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of [this.party.coordinator, ...this.party.aggregators]) connection.close();
    await this.party.store[Symbol.asyncDispose]();
  }
}
