import { fromBase64, fromHex, toBase64, toHex, utf8 } from '../crypto/encoding.ts';
import { pairwiseMask } from '../crypto/masks.ts';
import type { Primitives, Rng } from '../crypto/primitives.ts';
import { type SecretBytes, wipe } from '../crypto/secret.ts';
import { isOfBucket } from './buckets.ts';
import { ProtocolError, type Rejection, reject } from './errors.ts';
import type { Body } from './leaves.ts';
import { checkHolders } from './rules-round.ts';
import { type SharedKey, sealAgain, shareContext, shareKey } from './share-key.ts';
import { checkCohort, checkRound, type SitePolicy } from './site-policy.ts';
import { type Attempt, isOver, type Round, type Transcript } from './transcript.ts';

/** What the log asks of a node next. Recomputed from the log at every step, so that a restart loses nothing. */
export type NodeDuty =
  | { readonly duty: 'upload'; readonly round: Round }
  | { readonly duty: 'confirm'; readonly round: Round; readonly attempt: Attempt }
  | { readonly duty: 'reseal'; readonly round: Round; readonly attempt: Attempt; readonly holder: string }
  | { readonly duty: 'forget'; readonly round: Round };

/** @param keeps - whether the node still holds the round's one-time keys. */
export function nodeDuties(t: Transcript, name: string, keeps: (roundId: string) => boolean): NodeDuty[] {
  const duties: NodeDuty[] = [];
  for (const round of t.rounds.values()) {
    if (isOver(t, round)) {
      if (keeps(round.id)) duties.push({ duty: 'forget', round });
    } else if (round.phase === 'uploading') {
      if (!round.uploads.has(name) && isOfBucket(round, name)) duties.push({ duty: 'upload', round });
    } else if (round.phase === 'confirming' && keeps(round.id)) {
      const { attempt } = round;
      const confirm = attempt.confirms.get(name);
      if (confirm === undefined) {
        const mayConfirm =
          checkHolders(t, round.record) === null && attempt.cohort.some((upload) => upload.node === name);
        if (mayConfirm) duties.push({ duty: 'confirm', round, attempt });
        continue;
      }
      for (const [holder, complaint] of attempt.complaints.get(confirm.hash) ?? []) {
        if (complaint.resealed === null) duties.push({ duty: 'reseal', round, attempt, holder });
      }
    }
  }
  return duties;
}

/**
 * A node's one-time secrets of one round. They live from upload to the round's end, in memory or in a file outside
 * backups, and are wiped together.
 */
export class RoundSecrets implements Disposable {
  /** k_i, N coefficients. */
  readonly key: Int16Array;
  /** H(m_i). */
  readonly updateHash: SecretBytes;
  /** X25519 secret of the upload's mask key; empty in a round without masks. */
  readonly maskSecret: SecretBytes;

  constructor(key: Int16Array, updateHash: SecretBytes, maskSecret: SecretBytes) {
    this.key = key;
    this.updateHash = updateHash;
    this.maskSecret = maskSecret;
  }

  [Symbol.dispose](): void {
    wipe(this.key);
    this.updateHash.wipe();
    this.maskSecret.wipe();
  }
}

/** Whether the site takes part, asked before anything is computed: null or the refusal. */
export function mayUpload(
  policy: SitePolicy,
  t: Transcript,
  round: Round,
  node: string,
  charged: number,
): Rejection | null {
  if (round.phase !== 'uploading') return reject('LATE_UPLOAD', 'the round is closed');
  if (!isOfBucket(round, node)) return reject('NOT_IN_BUCKET', 'the node is of another bucket');
  return checkRound(policy, t, round.record, node, charged);
}

/** The upload leaf's body for a payload that is ready to be sent. */
export function uploadBody(
  p: Primitives,
  rng: Rng,
  round: Round,
  secrets: RoundSecrets,
  payload: { readonly hash: string; readonly bytes: number },
  seen: { readonly size: number; readonly root: Uint8Array },
): Body<'upload'> {
  return {
    round: round.id,
    key: toBase64(p.x25519PublicKey(secrets.maskSecret.bytes)),
    nonce: toHex(rng(32)),
    payloadHash: payload.hash,
    payloadBytes: payload.bytes,
    seen: { size: seen.size, root: toHex(seen.root) },
  };
}

/** What goes out with a confirm leaf. */
export interface Confirmation extends Pick<SharedKey, 'correction' | 'boxes'> {
  readonly body: Body<'confirm'>;
}

/**
 * Confirms one attempt: checks the set against the site's policy, masks and shares k_i, seals the seeds. Persist what it
 * returns, and `fresh`, before any of it is sent: one confirmation per attempt, ever.
 *
 * @param fresh - 32 bytes drawn for this attempt. Not wiped here.
 * @param checksum - rho_i over the node's payload for this close leaf, 6 residues per prime.
 */
export function makeConfirmation(
  p: Primitives,
  rng: Rng,
  t: Transcript,
  policy: SitePolicy,
  place: { readonly round: Round; readonly attempt: Attempt; readonly node: string },
  secrets: RoundSecrets,
  fresh: SecretBytes,
  checksum: Uint32Array,
): Confirmation | Rejection {
  const { round, attempt, node } = place;
  const refusal = checkCohort(policy, t, round.record, attempt, node);
  if (refusal !== null) return refusal;
  const { maskModulusBits, ringDegree } = round.record.parameters;
  const context = shareContext(place);
  const cohort = attempt.cohort.map((upload) => ({
    identity: utf8(upload.node),
    publicKey: fromBase64(upload.body.key, 32),
  }));
  const maskContext = { closeHash: context.closeHash, bucket: 0, modelHash: fromHex(round.record.modelHash, 32) };
  const mask = pairwiseMask(p, secrets.maskSecret, utf8(node), maskContext, cohort, maskModulusBits, ringDegree);
  const { logged, correction, boxes } = shareKey(p, rng, t, place, secrets, mask, fresh);
  wipe(mask);
  const { modelHash } = round.record;
  return { body: { close: attempt.close, modelHash, ...logged, checksum: [...checksum] }, correction, boxes };
}

/** A second box for one member or recipient that complained: the same seeds, sealed anew. */
export function resealFor(
  p: Primitives,
  rng: Rng,
  t: Transcript,
  place: { readonly round: Round; readonly attempt: Attempt; readonly node: string },
  secrets: RoundSecrets,
  fresh: SecretBytes,
  holder: string,
): { readonly body: Body<'reseal'>; readonly sealed: Uint8Array } {
  const sealed = sealAgain(p, rng, t, place, secrets, fresh, holder);
  const confirm = place.attempt.confirms.get(place.node)!.hash;
  return { body: { confirm, holder, hash: toHex(p.sha256(sealed)) }, sealed };
}

/** What goes out with a one-shot leaf: beside the payload, the correction and the boxes. */
export interface OneShot extends Pick<SharedKey, 'correction' | 'boxes'> {
  readonly body: Body<'one-shot'>;
}

/**
 * The upload of a round without masks: shares k_i as it is, bound to the record. Persist what it returns, and `fresh`, before any
 * of it is sent: one upload per round, ever.
 *
 * @param fresh - 32 bytes drawn for this upload. Not wiped here.
 * @param model - what the update was trained from.
 */
export function makeOneShot(
  p: Primitives,
  rng: Rng,
  t: Transcript,
  place: { readonly round: Round; readonly node: string },
  secrets: RoundSecrets,
  fresh: SecretBytes,
  model: Body<'one-shot'>['model'],
  payload: { readonly hash: string; readonly bytes: number },
  seen: { readonly size: number; readonly root: Uint8Array },
): OneShot {
  const { round, node } = place;
  if (round.record.masking !== 'none')
    throw new ProtocolError('MASKING_MISMATCH', 'a key is shared without masks only where the record says so');
  const none = new Uint16Array(round.record.parameters.ringDegree);
  const shared = shareKey(p, rng, t, { round, attempt: null, node }, secrets, none, fresh);
  const body = {
    round: round.id,
    nonce: toHex(rng(32)),
    payloadHash: payload.hash,
    payloadBytes: payload.bytes,
    seen: { size: seen.size, root: toHex(seen.root) },
    model: { number: model.number, hash: model.hash },
    ...shared.logged,
  };
  return { body, correction: shared.correction, boxes: shared.boxes };
}
