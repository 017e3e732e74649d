import { fromBase64, toHex } from '../crypto/encoding.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { SecretBytes } from '../crypto/secret.ts';
import { type Holder, openSeeds } from '../crypto/share-box.ts';
import { heldBy, type MemberSet, subsets } from '../crypto/sharing.ts';
import { boxHashFor, holderOf } from './disputes.ts';
import type { Body } from './leaves.ts';
import type { RoundRecord } from './record.ts';
import { shareContext } from './share-key.ts';
import type { Attempt, Confirm, Round } from './transcript.ts';

/** A holder's seeds of one node, or why its box cannot be used. */
export type CheckedBox = { readonly seeds: readonly SecretBytes[] } | Body<'complaint'>;

/** The seeds that a box must hold, each with what the node committed to. */
function expectedIn(record: RoundRecord, confirm: Confirm, { role, index }: Holder) {
  const { members, threshold } = record.parameters;
  const sets = subsets(members, threshold);
  const committed = (set: MemberSet, place: number) => {
    return { set, commitment: fromBase64(confirm.body.seeds[place]!, 32) };
  };
  if (role === 'recipient') return [committed([], sets.length)];
  return heldBy(sets, index).map((set) => committed(sets[set]!, set));
}

/**
 * Opens a node's box and checks every seed against the node's own confirm leaf.
 *
 * @param roundKey - the holder's X-Wing seed of the round. Not wiped here.
 * @param box - bytes whose SHA-256 is `boxHashFor`; null where the aggregators have none.
 * @returns a member's seeds in the order of its sets, or a recipient's one, the caller's to wipe; or the complaint to log.
 */
export function checkBox(
  p: Primitives,
  roundKey: SecretBytes,
  round: Round,
  attempt: Attempt,
  confirm: Confirm,
  name: string,
  box: Uint8Array | null,
): CheckedBox {
  const holder = holderOf(round.record, name)!;
  const expected = expectedIn(round.record, confirm, holder);
  const unreadable = { confirm: confirm.hash, code: 'BOX_UNREADABLE' } as const;
  if (box === null || toHex(p.sha256(box)) !== boxHashFor(attempt, confirm, name)) return unreadable;
  const context = shareContext({ round, attempt, node: confirm.node });
  const opened = openSeeds(p, roundKey, context, holder, expected, box);
  if ('seeds' in opened) return opened;
  return opened.rejected === 'SEED_DIFFERS' ? { confirm: confirm.hash, code: 'SEED_MISMATCH' } : unreadable;
}
