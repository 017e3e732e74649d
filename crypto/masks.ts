import { isAgreementKey } from './agreement-key.ts';
import { DOMAIN } from './domain.ts';
import { bytesEqual, compareBytes, requireLength, u32be } from './encoding.ts';
import { CryptoError } from './errors.ts';
import type { Primitives } from './primitives.ts';
import { applyExpanded, reduceResidues, requireModulusBits } from './residues.ts';
import { SecretBytes, wipe } from './secret.ts';
import { infoWithLabel } from './signature.ts';

/** The complete graph's limit; beyond it the sparse graph of Bell et al. (ia.cr/2020/704) is needed. */
const MAX_MASKED_NODES = 1024;

/** What a mask is bound to: two nodes that differ in any of it get masks that do not cancel. */
export interface MaskContext {
  /** Hash of the close leaf: round, attempt and U. 32 bytes. */
  readonly closeHash: Uint8Array;
  /** Index of the bucket; 0 where the round is not split. */
  readonly bucket: number;
  /** Hash of the model that the update starts from. 32 bytes. */
  readonly modelHash: Uint8Array;
}

/** A node of U: its identity, and the X25519 key that came with its upload, signed. */
export interface MaskPeer {
  readonly identity: Uint8Array;
  readonly publicKey: Uint8Array;
}

/**
 * k_ij = HKDF(X25519(i, j), salt = close leaf's hash, info = label, both identities in order, model hash, bucket).
 * The same for both ends.
 */
function pairwiseSeed(
  p: Primitives,
  secret: SecretBytes,
  context: MaskContext,
  lower: Uint8Array,
  higher: Uint8Array,
  peerKey: Uint8Array,
): SecretBytes {
  using shared = new SecretBytes('X25519 shared secret', p.x25519Agree(secret.bytes, peerKey));
  const info = infoWithLabel(DOMAIN.pairwiseSeed, lower, higher, context.modelHash, u32be(context.bucket));
  return new SecretBytes('pairwise seed', p.hkdfSha256(shared.bytes, context.closeHash, info, 32));
}

/**
 * mask_i = sum_{j > i} PRG(k_ij) - sum_{j < i} PRG(k_ij) mod M over all of U, ordered by the identities' bytes.
 * Bonawitz et al., CCS 2017 (ia.cr/2017/281), MaskedInputCollection, here on the key (N coefficients) instead of the
 * update (d). Laws: the masks of all nodes of U add up to zero; the sum over part of U, or of masks made for different
 * contexts, is uniform to whoever lacks one of the seeds in it.
 *
 * @param secret - this node's one-time X25519 key of the round. Not wiped here.
 * @param self - this node's identity; it must be in `cohort`, once.
 * @param cohort - U, in any order, of at least two.
 * @param modulusBits - log2 M, at most 16.
 * @param length - N.
 * @returns residues in [0, M), secret, the caller's to wipe.
 * @throws CryptoError BAD_VALUE for a cohort with this node missing, a node twice, fewer than two or more than 1024
 *   nodes; BAD_KEY for a small-order key or one that is not this node's own; BAD_LENGTH
 */
export function pairwiseMask(
  p: Primitives,
  secret: SecretBytes,
  self: Uint8Array,
  context: MaskContext,
  cohort: readonly MaskPeer[],
  modulusBits: number,
  length: number,
): Uint16Array {
  requireModulusBits(modulusBits);
  requireLength(context.closeHash, 32);
  requireLength(context.modelHash, 32);
  if (cohort.length < 2 || cohort.length > MAX_MASKED_NODES) {
    throw new CryptoError('BAD_VALUE', 'masks need 2 to 1024 nodes');
  }
  const ordered = [...cohort].sort((a, b) => compareBytes(a.identity, b.identity));
  for (let i = 1; i < ordered.length; i++) {
    if (bytesEqual(ordered[i - 1]!.identity, ordered[i]!.identity)) {
      throw new CryptoError('BAD_VALUE', 'a node is in the cohort twice');
    }
  }
  const own = ordered.find((peer) => bytesEqual(peer.identity, self));
  if (own === undefined) throw new CryptoError('BAD_VALUE', 'this node is not in the cohort');
  // A cohort with another key under our name would give masks that do not cancel: say so now, not at the opening.
  if (!bytesEqual(own.publicKey, p.x25519PublicKey(secret.bytes))) {
    throw new CryptoError('BAD_KEY', 'the cohort names another key for this node');
  }
  const mask = new Uint16Array(length);
  try {
    for (const peer of ordered) {
      if (peer === own) continue;
      const above = compareBytes(peer.identity, self) > 0;
      const [lower, higher] = above ? [self, peer.identity] : [peer.identity, self];
      using seed = pairwiseSeed(p, secret, context, lower, higher, peer.publicKey);
      applyExpanded(p, mask, seed, above ? 1 : -1);
    }
  } catch (error) {
    wipe(mask);
    throw error;
  }
  return reduceResidues(mask, modulusBits);
}

/** Checked when an upload arrives, since one bad key in U would stop every node of U from making its mask. */
export const isMaskKey = isAgreementKey;
