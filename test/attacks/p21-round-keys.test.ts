import { createHash } from 'node:crypto';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { concat, fromBase64, fromHex, fromUtf8, toBase64, utf8 } from '../../crypto/encoding.ts';
import { open, seal, XWING_PUBLIC_BYTES, xwingKeyPair } from '../../crypto/hpke.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { isRejection } from '../../protocols/errors.ts';
import { verifyLeaf } from '../../protocols/verified.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { PaperLog, p, paperHash } from '../reference/paper-log.ts';

/** What a control takes away: the look at a key before it is logged, and the rules about which keys may stand there. */
const weak = vi.hoisted(() => ({ keys: false, codes: new Set<string>() }));
vi.mock('../../crypto/hpke.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/hpke.ts')>();
  const isSealingKey: typeof original.isSealingKey = (...args) => weak.keys || original.isSealingKey(...args);
  return { ...original, isSealingKey };
});
vi.mock('../../protocols/rules-register.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/rules-register.ts')>();
  const roundKeyRule: typeof original.roundKeyRule = (t, signed) => {
    const patch = original.roundKeyRule(t, signed);
    if (!('rejected' in patch) || !weak.codes.has(patch.rejected)) return patch;
    const { leaf, hash } = signed;
    const announce = t.announces.get(leaf.body.announce)!;
    const roundKeys = new Map(announce.roundKeys).set(leaf.actor, { hash, kemKey: leaf.body.kemKey });
    return { announce: { ...announce, roundKeys }, keys: [] };
  };
  return { ...original, roundKeyRule };
});

afterEach(() => {
  weak.keys = false;
  weak.codes.clear();
});

const ML_KEM_BYTES = XWING_PUBLIC_BYTES - 32;
const honestKey = (): Uint8Array => xwingKeyPair(p, new SecretBytes('round key', systemRng(32))).publicKey;
const withCurve = (curve: Uint8Array): Uint8Array => concat(honestKey().subarray(0, ML_KEM_BYTES), curve);

/** Small-order points of Curve25519 and their other spellings (RFC 7748 section 6.1; Bernstein, "Curve25519"). */
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map((text) => fromHex(text));

/** An announced round that member-1 has not logged its key for, and how a leaf of a key is offered to it. */
function announced() {
  const log = PaperLog.founded();
  const announce = log.announce(1);
  const offer = (kemKey: string, actor = 'member-1') => log.offer(log.leaf(actor, 'round-key', { announce, kemKey }));
  return { log, announce, offer };
}

describe('P21: round keys that are unsigned, reused, late, or somebody else’s are refused', () => {
  it('unsigned, signed by another, or by somebody who has no round keys', () => {
    const { log, announce } = announced();
    const draft = log.draft('member-1', 'round-key', log.roundKey('member-1', announce));
    const text = fromUtf8(log.raw(draft));
    expect(log.offer(utf8(text.replace(/,"sig":"[^"]*"/, '')))).toBe('MALFORMED');
    expect(log.offer(log.raw(draft, 'member-2'))).toBe('BAD_SIGNATURE');
    expect(log.offer(log.leaf('node-1', 'round-key', log.roundKey('node-1', announce)))).toBe('WRONG_ROLE');
    expect(log.offer(log.leaf('coordinator', 'round-key', log.roundKey('c', announce)))).toBe('WRONG_ROLE');
    log.post('root', 'revoke', { name: 'member-1', reason: 'seized' });
    expect(log.offer(log.leaf('member-1', 'round-key', log.roundKey('member-1', announce)))).toBe('REVOKED');
  });

  it('reused: its own of an earlier round, another member’s, a node’s sealing key', () => {
    const { log, offer } = announced();
    const earlier = log.announced(2);
    const of = (name: string) => log.roundKey(name, earlier).kemKey;
    for (const kemKey of [of('member-1'), of('member-2'), log.kemKey('node-1')]) {
      expect(offer(kemKey)).toBe('ROUND_KEY_REUSED');
    }
    expect(offer(log.roundKey('member-1', 'fresh').kemKey)).toBe('counted'); // control: a fresh one
    weak.codes.add('ROUND_KEY_REUSED');
    expect(offer(of('member-2'), 'member-2')).toBe('counted'); // control: without the rule the old key serves again
  });

  it('late, for an unknown round, or another round’s or member’s key in the record', () => {
    const log = PaperLog.founded();
    const [first, second] = [log.announced(1), log.announced(2)];
    expect(log.offer(log.leaf('member-1', 'round-key', { announce: paperHash('x'), kemKey: log.kemKey('f') }))).toBe(
      'UNKNOWN_ANNOUNCE',
    );
    const record = log.record(first);
    const other = log.transcript.announces.get(second)!.roundKeys;
    const swap = (over: Partial<(typeof record)['members'][number]>) => {
      const members = record.members.with(0, { ...record.members[0]!, ...over });
      return log.offer(log.leaf('coordinator', 'open', { record: { ...record, members } }));
    };
    expect(swap({ roundKey: other.get('member-1')!.hash })).toBe('ROUND_KEY_MISSING');
    expect(swap({ roundKey: record.members[1]!.roundKey })).toBe('ROUND_KEY_MISSING');
    expect(swap({ roundKey: paperHash('a key of the coordinator’s own') })).toBe('ROUND_KEY_MISSING');
    expect(swap({})).toBe('counted'); // control
    expect(log.offer(log.leaf('member-1', 'round-key', { announce: first, kemKey: log.kemKey('late') }))).toBe(
      'LATE_ROUND_KEY',
    );
  });

  it('two by one member for one round: refused, and the two leaves are evidence that it signed', () => {
    const { log, announce, offer } = announced();
    const key = p.ed25519PublicKey(log.seed('member-1').bytes);
    const [one, two] = ['one', 'two'].map((name) =>
      log.leaf('member-1', 'round-key', { announce, kemKey: log.kemKey(name) }),
    );
    expect(log.offer(one!)).toBe('counted');
    expect(log.offer(two!)).toBe('DUPLICATE_ROUND_KEY');
    // Anybody with the member's public key can check both.
    for (const leaf of [one!, two!]) expect(isRejection(verifyLeaf(p, leaf, () => key))).toBe(false);
    weak.codes.add('DUPLICATE_ROUND_KEY');
    expect(offer(log.kemKey('three'))).toBe('counted'); // control: nodes would seal to whichever came last
    expect(log.transcript.announces.get(announce)!.roundKeys.get('member-1')!.kemKey).toBe(log.kemKey('three'));
  });
});

describe('P21: small-order, all-zero and malformed ML-KEM keys are refused', () => {
  it.each([
    ['all zero', new Uint8Array(XWING_PUBLIC_BYTES)],
    ['all ones', new Uint8Array(XWING_PUBLIC_BYTES).fill(255)],
    [
      'ML-KEM coefficients that are not below q',
      concat(new Uint8Array(ML_KEM_BYTES).fill(255), honestKey().subarray(ML_KEM_BYTES)),
    ],
    [
      'one ML-KEM coefficient equal to q',
      honestKey().map((byte, i) => (i === 0 ? 0x01 : i === 1 ? (byte & 0xf0) | 0x0d : byte)),
    ],
    [
      'an X25519 key spelt with its top bit set',
      withCurve(
        honestKey()
          .subarray(ML_KEM_BYTES)
          .map((b, i) => (i === 31 ? b | 128 : b)),
      ),
    ],
    ...SMALL_ORDER.map((curve, i) => [`X25519 of small order, ${i}`, withCurve(curve)] as const),
  ] as [string, Uint8Array][])('%s', (_, key) => {
    const { offer } = announced();
    expect(offer(toBase64(key))).toBe('BAD_KEY');
    weak.keys = true;
    expect(offer(toBase64(key))).toBe('counted'); // control
  });

  it('of another length', () => {
    const { log, announce } = announced();
    for (const bytes of [0, 32, 1215, 1217, 1184]) {
      const draft = { ...log.draft('member-1', 'ready', { close: '' }), kind: 'round-key' };
      const body = { announce, kemKey: toBase64(concat(honestKey(), new Uint8Array(1)).slice(0, bytes)) };
      expect([bytes, log.offer(log.raw({ ...draft, body }))]).toEqual([bytes, 'MALFORMED']);
    }
  });

  it('control: under an all-zero key a sealed box is open to whoever recorded it', () => {
    const key = new Uint8Array(XWING_PUBLIC_BYTES);
    const message = utf8('the seeds of a node');
    // As shipped, nothing can be sealed to it.
    expect(() => seal(p, systemRng, key, utf8('info'), utf8(''), message)).toThrow(
      expect.objectContaining({ code: 'BAD_KEY' }),
    );
    // Without the zero check of X25519 it can, and the eavesdropper needs no key at all.
    const careless: Primitives = { ...p, x25519Agree: () => new Uint8Array(32) };
    const sealed = seal(careless, systemRng, key, utf8('info'), utf8(''), message);
    const eavesdropper: Primitives = {
      ...careless,
      x25519PublicKey: () => new Uint8Array(32),
      mlKem768Decapsulate: (_, ciphertext) => sharedSecretUnderZeroKey(ciphertext),
    };
    using nothing = new SecretBytes('nothing', new Uint8Array(32));
    expect(open(eavesdropper, nothing, utf8('info'), utf8(''), sealed)).toEqual(message);
  });
});

/**
 * ML-KEM-768 under t = 0 (FIPS 203, algorithms 14 and 17): v = e2 + 1665 m, so m is read off the second part of the
 * ciphertext, 4 bits a coefficient, and K = SHA3-512(m || SHA3-256(ek)) cut to 32 bytes.
 */
function sharedSecretUnderZeroKey(ciphertext: Uint8Array): Uint8Array {
  const compressed = ciphertext.subarray(960);
  const m = new Uint8Array(32);
  for (let i = 0; i < 256; i++) {
    const v = (compressed[i >> 1]! >> (4 * (i & 1))) & 15;
    if (v >= 4 && v < 12) m[i >> 3]! |= 1 << (i & 7);
  }
  const h = createHash('sha3-256').update(new Uint8Array(ML_KEM_BYTES)).digest();
  return new Uint8Array(createHash('sha3-512').update(m).update(h).digest()).subarray(0, 32);
}

it('P21: the keys of a record are those that nodes seal to, and no other comes from anywhere', () => {
  const log = PaperLog.founded().until('open');
  const { record } = log.round;
  const { roundKeys } = log.transcript.announces.get(record.announce)!;
  for (const { name, roundKey } of [...record.members, ...record.recipients]) {
    expect(roundKeys.get(name)!.hash).toBe(roundKey);
    expect(fromBase64(roundKeys.get(name)!.kemKey)).toHaveLength(XWING_PUBLIC_BYTES);
  }
});
