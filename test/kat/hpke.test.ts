import { Aes256Gcm, CipherSuite, HkdfSha256 } from '@hpke/core';
import { XWing } from '@hpke/hybridkem-x-wing';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { describe, expect, it } from 'vitest';
import { concat, fromHex, toHex, utf8 } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { open, SEAL_OVERHEAD_BYTES, seal, XWING_ENC_BYTES, xwingDecapsulate, xwingKeyPair } from '../../crypto/hpke.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { noblePrimitives } from '../../crypto/primitives-noble.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';

const BOTH: readonly [string, Primitives][] = [
  ['noble', noblePrimitives],
  ['node', nodePrimitives],
];
const theirs = () => new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });
const info = utf8('the close leaf, the node, the member');
const aad = utf8('additional');

function code(call: () => unknown): string {
  try {
    call();
    return 'none';
  } catch (error) {
    if (error instanceof CryptoError) return error.code;
    throw error;
  }
}

describe.each(BOTH)('X-Wing and HPKE, %s', (_, p) => {
  it("gives the first test vector of the draft's appendix", () => {
    using seed = new SecretBytes('vector', fromHex('7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26'));
    const { publicKey } = xwingKeyPair(p, seed);
    const randomness = fromHex(
      '3cb1eea988004b93103cfb0aeefd2a686e01fa4a58e8a3639ca8a1e3f9ae57e235b8cc873c23dc62b8d260169afa2f75ab916a58d974918835d25e6a435085b2',
    );
    const kem = ml_kem768.encapsulate(publicKey.subarray(0, 1184), randomness.subarray(0, 32));
    const enc = concat(kem.cipherText, p.x25519PublicKey(randomness.subarray(32)));
    using shared = xwingDecapsulate(p, seed, enc);
    expect(toHex(shared.bytes)).toBe('d2df0522128f09dd8e2c92b1e905c793d8f57a54c3da25861f10bf4ca613e384');
  });

  it('@hpke opens what we seal', async () => {
    for (const length of [0, 1, 192, 5000]) {
      using seed = new SecretBytes('test', systemRng(32));
      const { publicKey } = xwingKeyPair(p, seed);
      const message = systemRng(length);
      const sealed = seal(p, systemRng, publicKey, info, aad, message);
      expect(sealed.length).toBe(length + SEAL_OVERHEAD_BYTES);
      const suite = theirs();
      const recipientKey = await suite.kem.importKey('raw', seed.bytes.slice().buffer, false);
      const opened = await suite.open(
        { recipientKey, enc: sealed.slice(0, XWING_ENC_BYTES).buffer, info: info.slice().buffer },
        sealed.slice(XWING_ENC_BYTES).buffer,
        aad.slice().buffer,
      );
      expect(toHex(new Uint8Array(opened))).toBe(toHex(message));
    }
  });

  it('we open what @hpke seals', async () => {
    for (const length of [0, 1, 192, 5000]) {
      using seed = new SecretBytes('test', systemRng(32));
      const { publicKey } = xwingKeyPair(p, seed);
      const message = systemRng(length);
      const suite = theirs();
      const recipientPublicKey = await suite.kem.importKey('raw', publicKey.slice().buffer, true);
      const { ct, enc } = await suite.seal(
        { recipientPublicKey, info: info.slice().buffer },
        message.slice().buffer as ArrayBuffer,
        aad.slice().buffer,
      );
      const opened = open(p, seed, info, aad, concat(new Uint8Array(enc), new Uint8Array(ct)));
      expect(toHex(opened)).toBe(toHex(message));
    }
  });

  it('refuses every change: box, info, aad, key, length', () => {
    using seed = new SecretBytes('test', systemRng(32));
    using other = new SecretBytes('other', systemRng(32));
    const { publicKey } = xwingKeyPair(p, seed);
    const sealed = seal(p, systemRng, publicKey, info, aad, utf8('message'));
    expect(open(p, seed, info, aad, sealed)).toEqual(utf8('message'));
    for (const at of [0, 1087, 1088, 1119, 1120, sealed.length - 1]) {
      const changed = sealed.slice();
      changed[at]! ^= 1;
      expect(code(() => open(p, seed, info, aad, changed))).toBe('BAD_CIPHERTEXT');
    }
    expect(code(() => open(p, seed, aad, aad, sealed))).toBe('BAD_CIPHERTEXT');
    expect(code(() => open(p, seed, info, info, sealed))).toBe('BAD_CIPHERTEXT');
    expect(code(() => open(p, other, info, aad, sealed))).toBe('BAD_CIPHERTEXT');
    for (const length of [0, SEAL_OVERHEAD_BYTES - 1, SEAL_OVERHEAD_BYTES, sealed.length - 1]) {
      expect(code(() => open(p, seed, info, aad, sealed.subarray(0, length)))).toBe('BAD_CIPHERTEXT');
    }
    expect(code(() => open(p, seed, info, aad, concat(sealed, new Uint8Array(1))))).toBe('BAD_CIPHERTEXT');
    const zeroEphemeral = sealed.slice();
    zeroEphemeral.fill(0, 1088, 1120);
    expect(code(() => open(p, seed, info, aad, zeroEphemeral))).toBe('BAD_CIPHERTEXT');
  });

  it('seals to no malformed key', () => {
    using seed = new SecretBytes('test', systemRng(32));
    const { publicKey } = xwingKeyPair(p, seed);
    const smallOrder = publicKey.slice();
    smallOrder.fill(0, 1184);
    const notReduced = publicKey.slice();
    notReduced.fill(255, 0, 3);
    for (const key of [publicKey.subarray(1), concat(publicKey, new Uint8Array(1)), smallOrder, notReduced]) {
      expect(code(() => seal(p, systemRng, key, info, aad, aad))).toBe('BAD_KEY');
    }
  });

  it('wipes the ephemeral key', () => {
    using seed = new SecretBytes('test', systemRng(32));
    const drawn: Uint8Array[] = [];
    const watched = (length: number): Uint8Array => {
      const bytes = systemRng(length);
      drawn.push(bytes);
      return bytes;
    };
    seal(p, watched, xwingKeyPair(p, seed).publicKey, info, aad, aad);
    expect(drawn.length).toBe(1);
    expect(drawn[0]!.every((byte) => byte === 0)).toBe(true);
  });
});
