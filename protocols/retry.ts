import { decisionOf, type Round, type Transcript, type Upload, windowKey } from './transcript.ts';

/**
 * Rounds that were decided and could not be opened, and what comes after them: a new round over the same model and window
 * that names the failed one, over a random half of its nodes, or a half of that, at its own charge. Nothing of the failed
 * round is opened again.
 *
 * Narrowing down by which halves fail is group testing (Dorfman, "The Detection of Defective Members of Large
 * Populations", 1943), here without control of the groups: whoever sabotages a round may stay away from the next one, but
 * then that one opens.
 */

/** Ends of a decided round that its window survives. An operator's abort is none of them: it could follow an opening. */
const RETRIED: ReadonlySet<string> = new Set([
  'KEY_DOES_NOT_FIT',
  'BOX_UNREADABLE',
  'CHECKSUM_MISMATCH',
  'SUM_MALFORMED',
  'BLOB_LOST',
  'TOO_FEW_ANSWERS',
]);

type Window = Pick<Round['record'], 'taskHash' | 'modelHash' | 'window'>;

/** Whether a round may be named by a retry: it was decided, and ended because it could not be opened. */
export function isFailed(round: Round): boolean {
  return round.phase === 'aborted' && round.decision !== null && RETRIED.has(round.reason);
}

/** Whether `retryOf` may stand in a record of this window: null, or a failed round of the very same window. */
export function mayRetry(t: Transcript, window: Window, retryOf: string | null): boolean {
  if (retryOf === null) return true;
  const failed = t.rounds.get(retryOf);
  if (failed === undefined || !isFailed(failed)) return false;
  return windowKey({ ...failed.record, retryOf: null }) === windowKey({ ...window, retryOf: null });
}

/**
 * What the next round of a window must say in `retryOf`: null for a window without a decision, the last failed round of
 * one whose decisions all failed.
 *
 * @returns undefined when a decision stands: no other round of the window can be decided.
 */
export function nextRetryOf(t: Transcript, window: Window): string | null | undefined {
  let retryOf: string | null = null;
  while (t.decidedWindows.has(windowKey({ ...window, retryOf }))) {
    const key = windowKey({ ...window, retryOf });
    const decided = [...t.rounds.values()].find(
      (round) => decisionOf(round) !== null && windowKey(round.record) === key,
    );
    if (decided === undefined || !isFailed(decided)) return undefined;
    retryOf = decided.id;
  }
  return retryOf;
}

/** What a part of a failed set must have to be summed. */
interface Minimums {
  readonly cohort: number;
  readonly organisations: number;
}

/**
 * Two halves of a set: every second one, organisation by organisation, by payload hash. So each organisation keeps its
 * share, and a node has no place but its own in its hands. Null where either half would be below the minimums.
 */
function halvesOf(
  uploads: readonly Upload[],
  minimums: Minimums,
  organisationOf: (node: string) => string | undefined,
): readonly (readonly Upload[])[] | null {
  const ranked = [...uploads].sort((a, b) => (a.body.payloadHash < b.body.payloadHash ? -1 : 1));
  // Organisations in the order of their smallest hash.
  const grouped = [...Map.groupBy(ranked, ({ node }) => organisationOf(node)).values()].flat();
  const halves = [0, 1].map((parity) => grouped.filter((_, place) => place % 2 === parity));
  const isLarge = (part: readonly Upload[]): boolean =>
    part.length >= minimums.cohort &&
    new Set(part.map(({ node }) => organisationOf(node))).size >= minimums.organisations;
  return halves.every(isLarge) ? halves : null;
}

/**
 * The sets over which retries of a failed set may be closed: its halves, their halves and so on, larger ones first; the set
 * itself where it has no halves. Any two of them are one in the other or apart, and what two sums over one model tell together
 * is again a sum over at least min_cohort nodes of min_orgs organisations.
 */
export function partsOf(
  failed: readonly Upload[],
  minimums: Minimums,
  organisationOf: (node: string) => string | undefined,
): readonly (readonly Upload[])[] {
  const parts: (readonly Upload[])[] = [];
  for (let queue: (readonly Upload[])[] = [failed]; queue.length > 0; ) {
    const halves = queue.flatMap((part) => halvesOf(part, minimums, organisationOf) ?? []);
    parts.push(...halves);
    queue = halves;
  }
  return parts.length > 0 ? parts : [failed];
}

const nodesOf = (uploads: readonly Upload[]): string =>
  uploads
    .map(({ node }) => node)
    .sort()
    .join(' ');

/**
 * The uploads over which a retry is closed: the first part of the window's first failed set that failed least often so far and
 * of which every node has uploaded again. Nobody chooses it.
 *
 * @param present - what was uploaded, in log order. @returns none where no part is complete: then nothing can be summed.
 */
export function retrySet(t: Transcript, record: Round['record'], present: readonly Upload[]): readonly Upload[] {
  const failed: (readonly Upload[])[] = [];
  for (let id = record.retryOf; id !== null; ) {
    const round = t.rounds.get(id)!;
    failed.unshift(decisionOf(round)!.attempt.cohort);
    id = round.record.retryOf;
  }
  const minimums = { cohort: record.parameters.minCohort, organisations: record.minOrganisations };
  const organisationOf = (node: string): string | undefined => t.parties.get(node)?.organisation;
  const here = new Set(present.map(({ node }) => node));
  const parts = partsOf(failed[0]!, minimums, organisationOf).filter((part) =>
    part.every(({ node }) => here.has(node)),
  );
  const failures = parts.map((part) => failed.filter((set) => nodesOf(set) === nodesOf(part)).length);
  const chosen = parts[failures.indexOf(Math.min(...failures))];
  const wanted = new Set(chosen?.map(({ node }) => node));
  return present.filter(({ node }) => wanted.has(node));
}

/** How often a node was in a set that did not open, and in one that did. */
export interface Presence {
  readonly node: string;
  readonly failed: number;
  readonly opened: number;
}

/**
 * Nodes that were in every failed set of a task since the first failure, those in the fewest opened ones first: where one
 * node sabotages rounds, it is among them. Not evidence against any of them.
 */
export function suspectsOf(t: Transcript, task: string): Presence[] {
  const failed = new Map<string, number>();
  const opened = new Map<string, number>();
  let failures = 0;
  for (const round of t.rounds.values()) {
    const decision = decisionOf(round);
    if (round.record.task !== task || decision === null) continue;
    const counts = round.phase === 'released' ? opened : isSabotage(round) ? failed : null;
    if (counts === null || (counts === opened && failures === 0)) continue;
    if (counts === failed) failures++;
    for (const { node } of decision.attempt.cohort) counts.set(node, (counts.get(node) ?? 0) + 1);
  }
  return [...failed]
    .filter(([, count]) => count === failures)
    .map(([node, count]) => ({ node, failed: count, opened: opened.get(node) ?? 0 }))
    .sort((a, b) => a.opened - b.opened);
}

/** A failure that a single node can cause. */
function isSabotage(round: Round): boolean {
  return round.phase === 'aborted' && (round.reason === 'KEY_DOES_NOT_FIT' || round.reason === 'BOX_UNREADABLE');
}
