import { toBase64 } from '../../crypto/encoding.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import { SecretBytes, wipe } from '../../crypto/secret.ts';
import { checkBox } from '../../protocols/boxes.ts';
import type { Body } from '../../protocols/leaves.ts';
import type { Attempt, Confirm, Round } from '../../protocols/transcript.ts';
import { fetchBoxes } from './fetch.ts';
import { decodeParts, encodeParts } from './parts.ts';
import { type Party, primitives, rng } from './party.ts';

const ROUND_KEY = 'round.key';
const seedsFile = (attempt: Attempt): string => `seeds-${attempt.close}`;

/** A holder's seeds of every node of U. */
export type Seeds = Map<string, readonly SecretBytes[]>;

export function wipeSeeds(seeds: Seeds): void {
  for (const ofNode of seeds.values()) for (const seed of ofNode) seed.wipe();
}

/** Makes, keeps and logs a member's or recipient's key for an announced round. The key is durable before its leaf is sent. */
export async function logRoundKey(party: Party, announce: string): Promise<void> {
  const kept = party.rounds.readSecret(announce, ROUND_KEY);
  using seed = kept ?? new SecretBytes('round key', rng(32));
  if (kept === null) party.rounds.write(announce, ROUND_KEY, seed.bytes);
  const kemKey = toBase64(xwingKeyPair(primitives, seed).publicKey);
  await party.append(party.leaf('round-key', { announce, kemKey }));
}

/** The holder's own key of a round; it exists whenever a duty asks for it. */
export function roundKeyOf(party: Party, announce: string): SecretBytes | null {
  return party.rounds.readSecret(announce, ROUND_KEY);
}

/** What a holder finds in its boxes of U. */
export interface CheckedBoxes {
  /** Of every node with a usable box. The caller's to wipe. */
  readonly seeds: Seeds;
  readonly complaints: readonly Body<'complaint'>[];
}

/** How long a second box may take to every aggregator after one of them has logged it, and the pause between two looks, in ms. */
const SECOND_BOX_MS = 3000;
const LOOK_AGAIN_MS = 100;

/**
 * The holder's boxes by node; null for one that no replica has. A second box goes to all replicas at once: whoever logs it first may
 * have lost it, while it is still on its way to another one. So it is not called missing before it has been looked for a while.
 */
async function allBoxes(
  party: Party,
  attempt: Attempt,
  confirms: readonly Confirm[],
): Promise<ReadonlyMap<string, Uint8Array | null>> {
  const boxes = new Map(await fetchBoxes(party.aggregators, attempt, confirms, party.name));
  const isSecond = ({ hash }: Confirm): boolean =>
    (attempt.complaints.get(hash)?.get(party.name)?.resealed ?? null) !== null;
  const isLate = (confirm: Confirm): boolean => boxes.get(confirm.node) === null && isSecond(confirm);
  for (const end = performance.now() + SECOND_BOX_MS; performance.now() < end; ) {
    const late = confirms.filter(isLate);
    if (late.length === 0) break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    for (const [node, box] of await fetchBoxes(party.aggregators, attempt, late, party.name)) boxes.set(node, box);
  }
  return boxes;
}

/** Fetches and opens the holder's boxes of all of U. */
export async function checkBoxes(party: Party, round: Round, attempt: Attempt): Promise<CheckedBoxes> {
  using roundKey = roundKeyOf(party, round.record.announce)!;
  const seeds: Seeds = new Map();
  const complaints: Body<'complaint'>[] = [];
  const confirms = [...attempt.confirms.values()];
  const boxes = await allBoxes(party, attempt, confirms);
  for (const confirm of confirms) {
    const box = boxes.get(confirm.node) ?? null;
    const checked = checkBox(primitives, roundKey, round, attempt, confirm, party.name, box);
    if ('seeds' in checked) seeds.set(confirm.node, checked.seeds);
    else {
      party.say('box refused', { node: confirm.node, code: checked.code });
      complaints.push(checked);
    }
  }
  return { seeds, complaints };
}

/** Opens the boxes of all of U. @returns the seeds; or null after a complaint about every bad box was logged. */
export async function openCohort(party: Party, round: Round, attempt: Attempt): Promise<Seeds | null> {
  const { seeds, complaints } = await checkBoxes(party, round, attempt);
  if (complaints.length === 0) return seeds;
  wipeSeeds(seeds);
  for (const complaint of complaints) await party.append(party.leaf('complaint', complaint));
  return null;
}

/** Keeps a recipient's seeds with its key of the round: durable when it returns, wiped with it. */
export function keepSeeds(party: Party, round: Round, attempt: Attempt, seeds: Seeds): void {
  const kept = encodeParts(attempt.cohort.map(({ node }) => seeds.get(node)![0]!.bytes));
  party.rounds.write(round.record.announce, seedsFile(attempt), kept);
  wipe(kept);
}

/** What `keepSeeds` kept, by node; null where it kept nothing. The caller's to wipe. */
export function keptSeeds(party: Party, round: Round, attempt: Attempt): Seeds | null {
  const kept = party.rounds.read(round.record.announce, seedsFile(attempt));
  if (kept === null) return null;
  const parts = decodeParts(kept).map((bytes) => new SecretBytes('share seed', bytes));
  wipe(kept);
  return new Map(attempt.cohort.map(({ node }, i) => [node, [parts[i]!]]));
}
