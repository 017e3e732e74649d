import { DOMAIN } from '../../../crypto/domain.ts';
import {
  bytesEqual,
  canonicalBytes,
  concat,
  fromHex,
  toBase64,
  toHex,
  u16be,
  u32be,
  utf8,
} from '../../../crypto/encoding.ts';
import { isSealingKey, open, seal, xwingKeyPair } from '../../../crypto/hpke.ts';
import { packResidues, unpackResidues } from '../../../crypto/residues.ts';
import { SecretBytes } from '../../../crypto/secret.ts';
import { openAnswer, openSeeds, sealSeeds } from '../../../crypto/share-box.ts';
import { type ShareContext, seedCommitment } from '../../../crypto/sharing.ts';
import { infoWithLabel } from '../../../crypto/signature.ts';
import { isRejection } from '../../../protocols/errors.ts';
import { openModel } from '../../../protocols/model-box.ts';
import { encodeParts } from '../../../src/party/parts.ts';
import { nodePrimitives as p } from '../../../src/platform/primitives-node.ts';
import { chanceOf } from '../random.ts';
import { law, partsOf, type Target } from '../target.ts';

const key = (name: string): SecretBytes => new SecretBytes(name, p.sha256(utf8(name)));
const rng = (length: number): Uint8Array => p.aes256Ctr(p.sha256(utf8('fuzz')), length);
const holder = key('holder');
const publicKey = xwingKeyPair(p, holder).publicKey;
const info = utf8('fuzz');
const NONE = new Uint8Array(0);
const plaintext = utf8('a message');

const context: ShareContext = { closeHash: p.sha256(utf8('close')), bucket: 0, node: utf8('node-1') };
const shareSeeds = [key('one'), key('two')];
const expected = shareSeeds.map((seed, i) => ({
  set: [i, i + 1],
  commitment: seedCommitment(p, context, [i, i + 1], seed),
}));
const box = sealSeeds(p, rng, context, { role: 'member', index: 1 }, publicKey, shareSeeds);

const answerContext = { decideHash: p.sha256(utf8('decide')), bucket: 0, member: 1, recipient: 0 };
const answerInfo = infoWithLabel(DOMAIN.answerBox, answerContext.decideHash, u32be(0), u32be(1), u32be(0));
const LENGTH = 16;
const BITS = 13;
const packed = packResidues(new Uint16Array(LENGTH).fill(8191), BITS);
const sealTo = (bytes: Uint8Array): Uint8Array => seal(p, rng, publicKey, answerInfo, NONE, bytes);

const model = utf8('model bytes');
const modelHash = toHex(p.sha256(model));
const LOG = toHex(p.sha256(utf8('log')));
const modelInfo = infoWithLabel(DOMAIN.modelBox, fromHex(LOG, 32), fromHex(modelHash, 32), utf8('node-1'));
const fileKey = p.sha256(utf8('file key'));

/** A sealed model whose header is whatever one likes, authentic all the same: what its sender can make. */
function sealedModel(header: Uint8Array, content = model): Uint8Array {
  return concat(u32be(header.length), header, p.aes256GcmSeal(fileKey, new Uint8Array(12), header, content));
}
const modelKey = toBase64(seal(p, rng, publicKey, modelInfo, NONE, fileKey));
const header = canonicalBytes({ v: 1, modelHash, keys: { 'node-1': modelKey } });

export const boxes: readonly Target[] = [
  {
    name: 'hpke',
    reads: 'sealed messages (HPKE, X-Wing)',
    slowdown: 2,
    form: 'bytes',
    seeds: () => [seal(p, rng, publicKey, info, NONE, plaintext), seal(p, rng, publicKey, info, NONE, NONE)],
    refusals: { CryptoError: ['BAD_CIPHERTEXT'] },
    run(input) {
      const opened = open(p, holder, info, NONE, input);
      law(bytesEqual(opened, plaintext) || opened.length === 0, 'only what was sealed opens');
      return true;
    },
  },
  {
    name: 'kem-key',
    reads: 'X-Wing public keys',
    form: 'bytes',
    seeds: () => [publicKey, xwingKeyPair(p, key('another')).publicKey],
    refusals: {},
    run: (input) => isSealingKey(input),
  },
  {
    name: 'share-box',
    reads: 'boxes of share seeds',
    form: 'bytes',
    seeds: () => [box],
    refusals: {},
    run(input) {
      const opened = openSeeds(p, holder, context, { role: 'member', index: 1 }, expected, input);
      if ('rejected' in opened) return false;
      law(
        opened.seeds.every((seed, i) => bytesEqual(seed.bytes, shareSeeds[i]!.bytes)),
        'only what was sealed opens',
      );
      return true;
    },
  },
  {
    name: 'answer-box',
    reads: 'members’ answers, sealed by a member that packs what it likes',
    slowdown: 4,
    form: ['bytes'],
    seeds: () => [
      encodeParts([concat(u16be(0), packed, u16be(3), packed)]),
      encodeParts([NONE]),
      encodeParts([NONE, sealTo(concat(u16be(7), packed))]),
    ],
    refusals: {},
    run(input) {
      const [inner, sealed] = partsOf(input) ?? [];
      if (inner === undefined) return false;
      const opened = openAnswer(p, holder, answerContext, sealed ?? sealTo(inner), BITS, LENGTH);
      if ('rejected' in opened) return false;
      const again = concat(...[...opened.sums].flatMap(([set, sum]) => [u16be(set), packResidues(sum, BITS)]));
      law(sealed !== undefined || bytesEqual(again, inner), 'an answer has one spelling');
      return true;
    },
  },
  {
    name: 'model-box',
    reads: 'sealed models, whose header is their sender’s',
    slowdown: 2,
    form: ['json', 'bytes'],
    seeds: () => [encodeParts([header]), encodeParts([NONE, sealedModel(header)])],
    words: ['keys', 'null', 'node-1'],
    refusals: {},
    run(input) {
      const [given, sealed] = partsOf(input) ?? [];
      if (given === undefined) return false;
      const opened = openModel(p, holder, LOG, 'node-1', sealed ?? sealedModel(given), modelHash);
      if (isRejection(opened)) return false;
      law(bytesEqual(opened, model), 'only the logged model opens');
      return true;
    },
  },
  {
    name: 'residues',
    reads: 'corrections and shares, bit-packed',
    form: ['choices', 'bytes'],
    seeds: () => [
      encodeParts([Uint8Array.of(12, LENGTH), packed]),
      encodeParts([Uint8Array.of(0, 9), Uint8Array.of(255, 1)]),
    ],
    refusals: { CryptoError: ['BAD_ENCODING'] },
    run(input) {
      const [choices = NONE, bytes] = partsOf(input) ?? [];
      if (bytes === undefined) return false;
      const chance = chanceOf(choices);
      const bits = 1 + chance.below(16);
      const values = unpackResidues(bytes, bits, chance.below(256));
      law(bytesEqual(packResidues(values, bits), bytes), 'packing what was unpacked gives the same bytes');
      return true;
    },
  },
];
