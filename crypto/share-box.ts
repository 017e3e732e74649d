import { DOMAIN } from './domain.ts';
import { bytesEqual, concat, requireLength, u16be, u32be } from './encoding.ts';
import { CryptoError } from './errors.ts';
import { open, SEAL_OVERHEAD_BYTES, seal } from './hpke.ts';
import type { Primitives, Rng } from './primitives.ts';
import { packedBytes, packResidues, unpackResidues } from './residues.ts';
import { SecretBytes, wipe } from './secret.ts';
import { type MemberSet, type ShareContext, seedCommitment } from './sharing.ts';
import { hashWithLabel, infoWithLabel } from './signature.ts';

const SEED_BYTES = 32;
const NO_AAD = new Uint8Array(0);

/** Who a box is for: a quorum member, or a recipient, by index in the round's record. */
export interface Holder {
  readonly role: 'member' | 'recipient';
  readonly index: number;
}

function boxInfo(context: ShareContext, holder: Holder): Uint8Array {
  requireLength(context.closeHash, 32);
  const label = holder.role === 'member' ? DOMAIN.shareBox : DOMAIN.recipientBox;
  return infoWithLabel(label, context.closeHash, u32be(context.bucket), context.node, u32be(holder.index));
}

/** Bytes of a box that holds `seeds` seeds: 1136 + 32 each. */
export function boxBytes(seeds: number): number {
  return SEAL_OVERHEAD_BYTES + SEED_BYTES * seeds;
}

/**
 * Seals a node's seeds to one holder's round key: to a member those of all sets that contain it, in the order of the
 * sets; to a recipient the one s_iR. Bound to (close leaf, bucket, node, holder), so no box fits another place.
 *
 * @param seeds - not wiped here.
 * @throws CryptoError BAD_KEY
 */
export function sealSeeds(
  p: Primitives,
  rng: Rng,
  context: ShareContext,
  holder: Holder,
  publicKey: Uint8Array,
  seeds: readonly SecretBytes[],
): Uint8Array {
  const plaintext = concat(...seeds.map((seed) => seed.bytes));
  try {
    return seal(p, rng, publicKey, boxInfo(context, holder), NO_AAD, plaintext);
  } finally {
    wipe(plaintext);
  }
}

/** Why a node's box is refused; `SEED_DIFFERS` names the sets whose commitment in the confirm leaf does not fit. */
export type BoxRejection =
  | { readonly rejected: 'BOX_OF_WRONG_LENGTH' | 'BOX_DOES_NOT_OPEN' }
  | { readonly rejected: 'SEED_DIFFERS'; readonly sets: readonly MemberSet[] };

/** One seed that a box must hold: its set (empty for the recipients') and what the confirm leaf says of it. */
export interface ExpectedSeed {
  readonly set: MemberSet;
  readonly commitment: Uint8Array;
}

/**
 * Opens a node's box and checks every seed against the confirm leaf. All or nothing: on a refusal no seed is kept.
 *
 * @param roundKey - the holder's X-Wing seed of this round. Not wiped here.
 * @param expected - of the sets that contain the holder, in the order of the sets.
 * @returns the seeds in that order, the caller's to wipe; or the refusal, for a complaint leaf.
 */
export function openSeeds(
  p: Primitives,
  roundKey: SecretBytes,
  context: ShareContext,
  holder: Holder,
  expected: readonly ExpectedSeed[],
  box: Uint8Array,
): { readonly seeds: readonly SecretBytes[] } | BoxRejection {
  if (box.length !== boxBytes(expected.length)) return { rejected: 'BOX_OF_WRONG_LENGTH' };
  const plaintext = openOrNull(p, roundKey, boxInfo(context, holder), box);
  if (plaintext === null) return { rejected: 'BOX_DOES_NOT_OPEN' };
  const seeds = expected.map(
    (_, i) => new SecretBytes('share seed', plaintext.slice(SEED_BYTES * i, SEED_BYTES * (i + 1))),
  );
  wipe(plaintext);
  const wrong = expected.filter(
    ({ set, commitment }, i) => !bytesEqual(seedCommitment(p, context, set, seeds[i]!), commitment),
  );
  if (wrong.length === 0) return { seeds };
  for (const seed of seeds) seed.wipe();
  return { rejected: 'SEED_DIFFERS', sets: wrong.map(({ set }) => set) };
}

function openOrNull(p: Primitives, key: SecretBytes, info: Uint8Array, sealed: Uint8Array): Uint8Array | null {
  try {
    return open(p, key, info, NO_AAD, sealed);
  } catch (error) {
    if (error instanceof CryptoError && error.code === 'BAD_CIPHERTEXT') return null;
    throw error; // ALREADY_WIPED and the like are our own mistake, not the peer's.
  }
}

/** What an answer is bound to: the decision, and the two ends. */
export interface AnswerContext {
  /** Hash of the decide leaf, 32 bytes. */
  readonly decideHash: Uint8Array;
  readonly bucket: number;
  readonly member: number;
  readonly recipient: number;
}

/** K_T by index of the set. */
export type ShareSums = ReadonlyMap<number, Uint16Array>;

/**
 * What a member logs of K_T before it answers: hash(label, decide leaf, bucket, T, packed K_T). Not the member: all
 * holders of T must log the same.
 */
export function shareSumHash(
  p: Primitives,
  decideHash: Uint8Array,
  bucket: number,
  set: MemberSet,
  sum: Uint16Array,
  modulusBits: number,
): Uint8Array {
  requireLength(decideHash, 32);
  const packed = packResidues(sum, modulusBits);
  const hash = hashWithLabel(p, DOMAIN.shareSum, decideHash, u32be(bucket), Uint8Array.from(set), packed);
  wipe(packed);
  return hash;
}

function answerInfo(context: AnswerContext): Uint8Array {
  const { decideHash, bucket, member, recipient } = context;
  requireLength(decideHash, 32);
  return infoWithLabel(DOMAIN.answerBox, decideHash, u32be(bucket), u32be(member), u32be(recipient));
}

/**
 * Seals K_T of the sets that a member answers for to one recipient's round key: (u16be set || packed K_T)*, ascending.
 *
 * @param sums - not wiped here.
 */
export function sealAnswer(
  p: Primitives,
  rng: Rng,
  context: AnswerContext,
  publicKey: Uint8Array,
  sums: ShareSums,
  modulusBits: number,
): Uint8Array {
  const ascending = [...sums].sort(([a], [b]) => a - b);
  const parts = ascending.flatMap(([set, sum]) => [u16be(set), packResidues(sum, modulusBits)]);
  const plaintext = concat(...parts);
  for (const part of parts) wipe(part);
  try {
    return seal(p, rng, publicKey, answerInfo(context), NO_AAD, plaintext);
  } finally {
    wipe(plaintext);
  }
}

/**
 * Opens an answer. Which sets it should hold, and whether K_T has the hash that the member logged, the caller checks.
 *
 * @param length - N.
 * @returns the sums, secret, the caller's to wipe; or the refusal.
 */
export function openAnswer(
  p: Primitives,
  roundKey: SecretBytes,
  context: AnswerContext,
  sealed: Uint8Array,
  modulusBits: number,
  length: number,
): { readonly sums: ShareSums } | { readonly rejected: 'ANSWER_DOES_NOT_OPEN' | 'ANSWER_MALFORMED' } {
  const plaintext = openOrNull(p, roundKey, answerInfo(context), sealed);
  if (plaintext === null) return { rejected: 'ANSWER_DOES_NOT_OPEN' };
  const entryBytes = 2 + packedBytes(modulusBits, length);
  const sums = new Map<number, Uint16Array>();
  const malformed = () => {
    for (const sum of sums.values()) wipe(sum);
    return { rejected: 'ANSWER_MALFORMED' } as const;
  };
  try {
    if (plaintext.length % entryBytes !== 0) return malformed();
    let last = -1;
    for (let at = 0; at < plaintext.length; at += entryBytes) {
      const set = plaintext[at]! * 256 + plaintext[at + 1]!;
      if (set <= last) return malformed();
      sums.set(set, unpackResidues(plaintext.subarray(at + 2, at + entryBytes), modulusBits, length));
      last = set;
    }
    return { sums };
  } catch (error) {
    if (error instanceof CryptoError && error.code === 'BAD_ENCODING') return malformed();
    throw error;
  } finally {
    wipe(plaintext);
  }
}
