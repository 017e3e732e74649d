import { fromBase64, fromHex, toBase64, toHex, utf8 } from '../crypto/encoding.ts';
import type { Primitives, Rng } from '../crypto/primitives.ts';
import { packResidues } from '../crypto/residues.ts';
import type { SecretBytes } from '../crypto/secret.ts';
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
import type { RoundSecrets } from './node.ts';
import type { Attempt, Confirm, Round, Transcript } from './transcript.ts';

/** Where a sharing belongs: a round, and the attempt that it was made for where the round has masks. */
export interface SharePlace {
  readonly round: Pick<Round, 'id' | 'record'>;
  readonly attempt: Pick<Attempt, 'close'> | null;
  readonly node: string;
}

/** What a sharing is bound to: the close leaf, or the record where keys are shared before a set is closed over. */
export function shareContext({ round, attempt, node }: SharePlace): ShareContext {
  const boundTo = round.record.masking === 'none' ? round.id : attempt!.close;
  return { closeHash: fromHex(boundTo, 32), bucket: 0, node: utf8(node) };
}

interface SealTo {
  readonly name: string;
  readonly holder: Holder;
  readonly publicKey: Uint8Array;
  readonly seeds: (seeds: ShareSeeds) => readonly SecretBytes[];
}

/** Members, then recipients, of a record, with their round keys of the log. */
function holdersOf(t: Transcript, { record }: SharePlace['round'], sets: readonly MemberSet[]): SealTo[] {
  const { roundKeys } = t.announces.get(record.announce)!;
  const keyOf = (name: string): Uint8Array => fromBase64(roundKeys.get(name)!.kemKey, 1216);
  const members = record.members.map(({ name }, index): SealTo => {
    const seeds = (all: ShareSeeds): SecretBytes[] => heldBy(sets, index).map((set) => all.ofSets[set]!);
    return { name, holder: { role: 'member', index }, publicKey: keyOf(name), seeds };
  });
  const recipients = record.recipients.map(({ name }, index): SealTo => {
    return { name, holder: { role: 'recipient', index }, publicKey: keyOf(name), seeds: (all) => [all.ofRecipients] };
  });
  return [...members, ...recipients];
}

/** A shared key: what is logged of it, and what is sent beside. */
export interface SharedKey {
  readonly logged: Pick<Confirm['body'], 'correctionHash' | 'boxes' | 'seeds'>;
  /** z_i, N residues packed to log2 M bits. Public. */
  readonly correction: Uint8Array;
  /** One for each holder, in the record's order. */
  readonly boxes: readonly { readonly holder: string; readonly sealed: Uint8Array }[];
}

/**
 * Shares k_i plus a mask: derives the seeds, seals them, and says what the correction is.
 *
 * @param mask - over Z_M; zeros in a round without masks. Not wiped here.
 * @param fresh - 32 bytes drawn for this sharing. Not wiped here.
 */
export function shareKey(
  p: Primitives,
  rng: Rng,
  t: Transcript,
  place: SharePlace,
  secrets: RoundSecrets,
  mask: Uint16Array,
  fresh: SecretBytes,
): SharedKey {
  const { members, threshold, maskModulusBits } = place.round.record.parameters;
  const context = shareContext(place);
  const sets = subsets(members, threshold);
  using seeds = deriveSeeds(p, fresh, secrets.updateHash.bytes, context, sets);
  const z = packResidues(correction(p, secrets.key, mask, seeds, maskModulusBits), maskModulusBits);
  const boxes = holdersOf(t, place.round, sets).map((to) => {
    return { holder: to.name, sealed: sealSeeds(p, rng, context, to.holder, to.publicKey, to.seeds(seeds)) };
  });
  const commitments = [...sets.map((set, i) => [set, seeds.ofSets[i]!] as const), [[], seeds.ofRecipients] as const];
  const logged = {
    correctionHash: toHex(p.sha256(z)),
    boxes: boxes.map(({ holder, sealed }) => ({ holder, hash: toHex(p.sha256(sealed)) })),
    seeds: commitments.map(([set, seed]) => toBase64(seedCommitment(p, context, set, seed))),
  };
  return { logged, correction: z, boxes };
}

/** The box of one holder sealed anew: the same seeds, from the same fresh bytes. */
export function sealAgain(
  p: Primitives,
  rng: Rng,
  t: Transcript,
  place: SharePlace,
  secrets: RoundSecrets,
  fresh: SecretBytes,
  holder: string,
): Uint8Array {
  const { members, threshold } = place.round.record.parameters;
  const context = shareContext(place);
  const sets = subsets(members, threshold);
  using seeds = deriveSeeds(p, fresh, secrets.updateHash.bytes, context, sets);
  const to = holdersOf(t, place.round, sets).find(({ name }) => name === holder)!;
  return sealSeeds(p, rng, context, to.holder, to.publicKey, to.seeds(seeds));
}
