import { fromBase64, fromHex, toBase64, toHex, utf8 } from '../crypto/encoding.ts';
import { pairwiseMask } from '../crypto/masks.ts';
import type { Primitives, Rng } from '../crypto/primitives.ts';
import { packResidues } from '../crypto/residues.ts';
import { type SecretBytes, wipe } from '../crypto/secret.ts';
import { type Holder, sealSeeds } from '../crypto/share-box.ts';
import {
  correction,
  deriveSeeds,
  heldBy,
  type MemberSet,
  type ShareContext,
  type ShareSeeds,
  seedCommitment,
  subsets,
} from '../crypto/sharing.ts';
import { isOfBucket } from './buckets.ts';
import { type Rejection, reject } from './errors.ts';
import type { Body } from './leaves.ts';
import { checkHolders } from './rules-round.ts';
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
  /** X25519 secret of the upload's mask key. */
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

/** What goes out with a confirm leaf: the correction and one box for each holder, in the record's order. */
export interface Confirmation {
  readonly body: Body<'confirm'>;
  /** z_i, N residues packed to log2 M bits. Public. */
  readonly correction: Uint8Array;
  readonly boxes: readonly { readonly holder: string; readonly sealed: Uint8Array }[];
}

interface SealTo {
  readonly name: string;
  readonly holder: Holder;
  readonly publicKey: Uint8Array;
  readonly seeds: (seeds: ShareSeeds) => readonly SecretBytes[];
}

/** Members, then recipients, of a record, with their round keys of the log. */
function holdersOf(t: Transcript, round: Round, sets: readonly MemberSet[]): SealTo[] {
  const { roundKeys } = t.announces.get(round.record.announce)!;
  const keyOf = (name: string): Uint8Array => fromBase64(roundKeys.get(name)!.kemKey, 1216);
  const members = round.record.members.map(({ name }, index): SealTo => {
    const seeds = (all: ShareSeeds): SecretBytes[] => heldBy(sets, index).map((set) => all.ofSets[set]!);
    return { name, holder: { role: 'member', index }, publicKey: keyOf(name), seeds };
  });
  const recipients = round.record.recipients.map(({ name }, index): SealTo => {
    return { name, holder: { role: 'recipient', index }, publicKey: keyOf(name), seeds: (all) => [all.ofRecipients] };
  });
  return [...members, ...recipients];
}

export function shareContext(attempt: Attempt, node: string): ShareContext {
  return { closeHash: fromHex(attempt.close, 32), bucket: 0, node: utf8(node) };
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
  const { members, threshold, maskModulusBits, ringDegree } = round.record.parameters;
  const context = shareContext(attempt, node);
  const cohort = attempt.cohort.map((upload) => ({
    identity: utf8(upload.node),
    publicKey: fromBase64(upload.body.key, 32),
  }));
  const maskContext = { closeHash: context.closeHash, bucket: 0, modelHash: fromHex(round.record.modelHash, 32) };
  const mask = pairwiseMask(p, secrets.maskSecret, utf8(node), maskContext, cohort, maskModulusBits, ringDegree);
  const sets = subsets(members, threshold);
  using seeds = deriveSeeds(p, fresh, secrets.updateHash.bytes, context, sets);
  const z = packResidues(correction(p, secrets.key, mask, seeds, maskModulusBits), maskModulusBits);
  wipe(mask);
  const boxes = holdersOf(t, round, sets).map((to) => {
    return { holder: to.name, sealed: sealSeeds(p, rng, context, to.holder, to.publicKey, to.seeds(seeds)) };
  });
  const commitments = [...sets.map((set, i) => [set, seeds.ofSets[i]!] as const), [[], seeds.ofRecipients] as const];
  const body: Body<'confirm'> = {
    close: attempt.close,
    modelHash: round.record.modelHash,
    correctionHash: toHex(p.sha256(z)),
    boxes: boxes.map(({ holder, sealed }) => ({ holder, hash: toHex(p.sha256(sealed)) })),
    seeds: commitments.map(([set, seed]) => toBase64(seedCommitment(p, context, set, seed))),
    checksum: [...checksum],
  };
  return { body, correction: z, boxes };
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
  const { round, attempt, node } = place;
  const { members, threshold } = round.record.parameters;
  const context = shareContext(attempt, node);
  const sets = subsets(members, threshold);
  using seeds = deriveSeeds(p, fresh, secrets.updateHash.bytes, context, sets);
  const to = holdersOf(t, round, sets).find(({ name }) => name === holder)!;
  const sealed = sealSeeds(p, rng, context, to.holder, to.publicKey, to.seeds(seeds));
  const confirm = attempt.confirms.get(node)!.hash;
  return { body: { confirm, holder, hash: toHex(p.sha256(sealed)) }, sealed };
}
