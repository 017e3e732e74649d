import { fromBase64 } from '../crypto/encoding.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { isRejection, type Rejection, type RejectionCode, reject } from './errors.ts';
import type { AnyLeaf } from './leaves.ts';
import { applyPatch, type Patch } from './patch.ts';
import { abortRule, decideRule } from './rules-decide.ts';
import { quorumRule } from './rules-membership.ts';
import { oneShotRule } from './rules-one-shot.ts';
import { answerRule, complaintRule, confirmRule, readyRule, releaseRule, resealRule } from './rules-quorum.ts';
import {
  announceRule,
  enrolRule,
  genesisRule,
  modelRule,
  revokeRule,
  roundKeyRule,
  tlsKeyRule,
} from './rules-register.ts';
import { closeRule, openRule, uploadRule } from './rules-round.ts';
import { findParty, type Party, type Transcript } from './transcript.ts';
import { isKind, type SignedLeaf, type Verified, verifyLeaf } from './verified.ts';

/**
 * Rejections that an honest log may still contain, because two parties raced for it: the later leaf is void and changes
 * nothing. Any other rejected leaf in a log is a violation by whoever runs it.
 */
const VOID: ReadonlySet<RejectionCode> = new Set([
  'ROUND_EXISTS',
  'DUPLICATE_UPLOAD',
  'LATE_UPLOAD',
  'DUPLICATE_CONFIRM',
  'STALE_ATTEMPT',
  'ALREADY_DECIDED',
  'DUPLICATE_READY',
  'DUPLICATE_ANSWER',
  'ROUND_ENDED',
]);

export function isVoid(code: RejectionCode): boolean {
  return VOID.has(code);
}

/** The key that must have signed a leaf, at this point of the log. */
function keyOf(t: Transcript, leaf: AnyLeaf): Uint8Array | Rejection {
  if (leaf.kind === 'genesis') return fromBase64(leaf.body.rootKey, 32);
  if (t.genesis === null) return reject('GENESIS_NOT_FIRST', 'the first leaf must be genesis');
  if (leaf.log !== t.logId) return reject('WRONG_ORIGIN', 'the leaf belongs to another log');
  if (leaf.actor === 'root') return fromBase64(t.genesis.rootKey, 32);
  const party = findParty(t, leaf.actor);
  if (party === null) return reject('UNKNOWN_ACTOR', 'the actor is not enrolled');
  if (party.revoked) return reject('REVOKED', 'the actor was revoked');
  const known = keyBytes.get(party);
  if (known !== undefined) return known;
  const key = fromBase64(party.key, 32);
  keyBytes.set(party, key);
  return key;
}

/** Decoded keys of parties: each signs many leaves. A party is never changed in place. */
const keyBytes = new WeakMap<Party, Uint8Array>();

/** Checks form and signature of a leaf against the state it would be appended to. */
export function verifyNext(
  p: Primitives,
  t: Transcript,
  bytes: Uint8Array,
  hash?: Uint8Array,
): Verified<SignedLeaf> | Rejection {
  try {
    return verifyLeaf(p, bytes, (leaf) => keyOf(t, leaf), hash);
  } catch {
    return reject('BAD_KEY', 'a key is not canonical base64 of 32 bytes');
  }
}

/** What a verified leaf would change, or why it may not stand here. Changes nothing. */
export function judge(p: Primitives, t: Transcript, signed: Verified<SignedLeaf>): Patch | Rejection {
  const patch = applyRule(p, t, signed);
  return isRejection(patch) ? patch : { ...patch, leaf: signed.hash };
}

function applyRule(p: Primitives, t: Transcript, signed: Verified<SignedLeaf>): Patch | Rejection {
  if (isKind(signed, 'genesis')) return genesisRule(p, t, signed);
  if (isKind(signed, 'enrol')) return enrolRule(p, t, signed);
  if (isKind(signed, 'revoke')) return revokeRule(t, signed);
  if (isKind(signed, 'tls-key')) return tlsKeyRule(t, signed);
  if (isKind(signed, 'quorum')) return quorumRule(p, t, signed);
  if (isKind(signed, 'announce')) return announceRule(t, signed);
  if (isKind(signed, 'round-key')) return roundKeyRule(t, signed);
  if (isKind(signed, 'model')) return modelRule(t, signed);
  if (isKind(signed, 'open')) return openRule(p, t, signed);
  if (isKind(signed, 'upload')) return uploadRule(t, signed);
  if (isKind(signed, 'one-shot')) return oneShotRule(t, signed);
  if (isKind(signed, 'close')) return closeRule(p, t, signed);
  if (isKind(signed, 'confirm')) return confirmRule(t, signed);
  if (isKind(signed, 'ready')) return readyRule(t, signed);
  if (isKind(signed, 'complaint')) return complaintRule(t, signed);
  if (isKind(signed, 'reseal')) return resealRule(t, signed);
  if (isKind(signed, 'decide')) return decideRule(t, signed);
  if (isKind(signed, 'answer')) return answerRule(t, signed);
  if (isKind(signed, 'release')) return releaseRule(t, signed);
  if (isKind(signed, 'abort')) return abortRule(t, signed);
  return reject('UNKNOWN_KIND', 'no rule for this kind of leaf');
}

export type Taken =
  | { readonly outcome: 'counted'; readonly next: Transcript; readonly signed: Verified<SignedLeaf> }
  | {
      readonly outcome: 'void';
      readonly next: Transcript;
      readonly rejection: Rejection;
      readonly signed: Verified<SignedLeaf>;
    }
  | { readonly outcome: 'refused'; readonly rejection: Rejection };

/**
 * Takes the next leaf of a log in. Everybody who reads the log runs this and nothing else.
 *
 * @param t - taken over; use `next` afterwards. Unchanged when the leaf is refused.
 * @param hash - the leaf's RFC 6962 hash, for who has computed it already.
 */
export function takeLeaf(p: Primitives, t: Transcript, bytes: Uint8Array, hash?: Uint8Array): Taken {
  const signed = verifyNext(p, t, bytes, hash);
  if (isRejection(signed)) return { outcome: 'refused', rejection: signed };
  // No log holds the same bytes twice: it gives a leaf that comes again its old index. Void or not, this was done to it.
  if (t.leaves.has(signed.hash)) {
    return { outcome: 'refused', rejection: reject('REPLAYED', 'the same leaf stands in the log before') };
  }
  const patch = judge(p, t, signed);
  if (!isRejection(patch)) return { outcome: 'counted', next: applyPatch(t, patch), signed };
  if (isVoid(patch.rejected)) {
    return { outcome: 'void', next: applyPatch(t, { leaf: signed.hash }), rejection: patch, signed };
  }
  return { outcome: 'refused', rejection: patch };
}
