import { DOMAIN } from './domain.ts';
import { requireLength, u32be } from './encoding.ts';
import { CryptoError } from './errors.ts';
import type { Primitives } from './primitives.ts';
import { addResidues, applyExpanded, reduceResidues, requireModulusBits, sumExpanded } from './residues.ts';
import { SecretBytes } from './secret.ts';
import { hashWithLabel, infoWithLabel } from './signature.ts';

/** A confirm leaf names a commitment per set and must stay below 64 KiB; 256 sets take 17 KB in hexadecimal. */
export const MAX_SETS = 256;
/** Set indices and members are encoded in a byte each. */
const MAX_MEMBERS = 255;

/** The members, by index in the round's record and ascending, that hold one share. */
export type MemberSet = readonly number[];

/** What a node's shares are bound to: the cohort U it confirmed, and itself. */
export interface ShareContext {
  /** Hash of the close leaf: fixes round, attempt and U. In a one-shot round, of the record. 32 bytes. */
  readonly closeHash: Uint8Array;
  /** Index of the bucket inside the round; 0 where the round is not split. */
  readonly bucket: number;
  /** The node's identity, as everywhere in the round. */
  readonly node: Uint8Array;
}

function binomial(n: number, k: number): number {
  let value = 1;
  for (let i = 1; i <= k; i++) value = (value * (n - k + i)) / i;
  return Math.round(value);
}

/**
 * All sets T of n - t + 1 members, lexicographic. Replicated secret sharing (Ito, Saito, Nishizeki 1987; Cramer,
 * Damgard, Ishai 2005): one summand per T, held by T's members. Laws: any t members hold every summand together
 * (a set that misses them all has at most n - t members); any t - 1 miss exactly one, that of their complement.
 *
 * @throws CryptoError UNSAFE_PARAMETERS where t < 2 (one member alone could open), n < 2t - 1 (two disjoint quorums
 *   would not be excluded by honest majority), or there are more than 256 sets.
 */
export function subsets(members: number, threshold: number): readonly MemberSet[] {
  if (!Number.isInteger(members) || !Number.isInteger(threshold) || threshold < 2 || members > MAX_MEMBERS) {
    throw new CryptoError('UNSAFE_PARAMETERS', 'a quorum has a threshold of at least 2 and at most 255 members');
  }
  if (members < 2 * threshold - 1) throw new CryptoError('UNSAFE_PARAMETERS', 'a quorum has n >= 2t - 1 members');
  const size = members - threshold + 1;
  if (binomial(members, size) > MAX_SETS) {
    throw new CryptoError('UNSAFE_PARAMETERS', 'more than 256 sets of n - t + 1 members');
  }
  const sets: MemberSet[] = [];
  const extend = (set: MemberSet): void => {
    if (set.length === size) sets.push(set);
    else for (let m = (set.at(-1) ?? -1) + 1; m < members; m++) extend([...set, m]);
  };
  extend([]);
  return sets;
}

/** Indices, ascending, of the sets that contain the member: the shares that it holds. */
export function heldBy(sets: readonly MemberSet[], member: number): readonly number[] {
  return sets.flatMap((set, index) => (set.includes(member) ? [index] : []));
}

/** A node's seeds of one attempt: one per set, and one for the recipients. Wiped together. */
export class ShareSeeds implements Disposable {
  readonly ofSets: readonly SecretBytes[];
  readonly ofRecipients: SecretBytes;

  constructor(ofSets: readonly SecretBytes[], ofRecipients: SecretBytes) {
    this.ofSets = ofSets;
    this.ofRecipients = ofRecipients;
  }

  [Symbol.dispose](): void {
    for (const seed of [...this.ofSets, this.ofRecipients]) seed.wipe();
  }
}

/**
 * Seeds s_iT and s_iR of one attempt: HKDF(fresh, salt = close leaf's hash, info = label, H(m_i), bucket, node, T).
 * The update and the close leaf are in it so that a restored snapshot, which draws the same fresh bytes again, cannot
 * use one seed for two keys or two cohorts.
 *
 * @param fresh - 32 bytes from the system's CSPRNG, drawn for this attempt. Not wiped here.
 * @param updateHash - H(m_i), 32 bytes.
 * @throws CryptoError BAD_LENGTH
 */
export function deriveSeeds(
  p: Primitives,
  fresh: SecretBytes,
  updateHash: Uint8Array,
  context: ShareContext,
  sets: readonly MemberSet[],
): ShareSeeds {
  requireLength(fresh.bytes, 32);
  requireLength(updateHash, 32);
  requireLength(context.closeHash, 32);
  const derive = (label: string, set: MemberSet): SecretBytes => {
    const info = infoWithLabel(label, updateHash, u32be(context.bucket), context.node, Uint8Array.from(set));
    return new SecretBytes('share seed', p.hkdfSha256(fresh.bytes, context.closeHash, info, 32));
  };
  return new ShareSeeds(
    sets.map((set) => derive(DOMAIN.shareSeed, set)),
    derive(DOMAIN.recipientSeed, []),
  );
}

/**
 * What the confirm leaf says of one seed: hash(label, close leaf, bucket, node, T, seed). Hiding, since a seed has 256
 * bits, and binding. The recipients' seed has the empty set.
 */
export function seedCommitment(p: Primitives, context: ShareContext, set: MemberSet, seed: SecretBytes): Uint8Array {
  const members = Uint8Array.from(set);
  const { closeHash, bucket, node } = context;
  return hashWithLabel(p, DOMAIN.seedCommitment, closeHash, u32be(bucket), node, members, seed.bytes);
}

/**
 * The public correction z_i = k_i + mask_i - sum_T PRG(s_iT) - PRG(s_iR) mod M. Without one of the seeds it is uniform
 * (computationally: AES-256 as a PRG), so it tells nothing of k_i to fewer than t members.
 *
 * @param key - k_i, N coefficients. Not wiped here.
 * @param mask - mask_i of this attempt (masks.ts), or zeros in a one-shot round.
 * @param modulusBits - log2 M, at most 16.
 * @throws CryptoError BAD_LENGTH, BAD_VALUE, ALREADY_WIPED
 */
export function correction(
  p: Primitives,
  key: Int16Array,
  mask: Uint16Array,
  seeds: ShareSeeds,
  modulusBits: number,
): Uint16Array {
  requireModulusBits(modulusBits);
  const z = new Uint16Array(key.length);
  addResidues(z, key); // Two's complement is reduction modulo 2^16.
  addResidues(z, mask);
  for (const seed of [...seeds.ofSets, seeds.ofRecipients]) applyExpanded(p, z, seed, -1);
  return reduceResidues(z, modulusBits);
}

/**
 * K_T = sum over U of PRG(s_iT) mod M: a member's answer for one set, or, from the seeds s_iR, the recipients' part.
 * The same from every holder and at every retry; the order of the seeds does not matter.
 *
 * @param seeds - one per node of U, of the one set. Not wiped here.
 * @param length - N.
 * @returns secret residues in [0, M), the caller's to wipe.
 */
export function shareSum(
  p: Primitives,
  seeds: Iterable<SecretBytes>,
  modulusBits: number,
  length: number,
): Uint16Array {
  requireModulusBits(modulusBits);
  return reduceResidues(sumExpanded(p, seeds, length), modulusBits);
}

/**
 * K = sum_U z_i + sum_T K_T + sum_U PRG(s_iR) mod M, lifted to (-M/2, M/2]. It is the key of the sum if, and with
 * overwhelming probability only if, every part belongs to the same U; the payload's range check tells (KEY_DOES_NOT_FIT).
 *
 * @param corrections - sum of z_i over U, modulo M or 2^16.
 * @param shareSums - K_T of every set T.
 * @param recipientSum - shareSum of the seeds s_iR.
 * @returns N coefficients, secret, the caller's to wipe.
 */
export function recoverKey(
  corrections: Uint16Array,
  shareSums: readonly Uint16Array[],
  recipientSum: Uint16Array,
  modulusBits: number,
): Int32Array {
  const residues = corrections.slice();
  for (const part of [...shareSums, recipientSum]) addResidues(residues, part);
  reduceResidues(residues, modulusBits);
  const half = 2 ** (modulusBits - 1);
  const key = Int32Array.from(residues, (value) => value - ((value > half ? 1 : 0) << modulusBits));
  residues.fill(0);
  return key;
}
