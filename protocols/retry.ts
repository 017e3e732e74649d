import { decisionOf, type Round, type Transcript, type Upload, windowKey } from './transcript.ts';

/**
 * Rounds that were decided and could not be opened, or that a quarrel over a box ended before, and what comes after them: a
 * new round over the same model and window that names the failed one, over a random half of its nodes, or a half of that, at
 * its own charge. Nothing of the failed round is opened again.
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

type Window = Pick<Round['record'], 'taskHash' | 'modelHash' | 'window' | 'bucket'>;

/**
 * Whether a round may be named by a retry: it was decided and could not be opened, or a recipient and a node disagreed over a
 * box and it ended before it was decided.
 */
export function isFailed(round: Round): boolean {
  if (round.phase !== 'aborted') return false;
  return round.decision === null ? round.reason === 'BOX_DISPUTED' : RETRIED.has(round.reason);
}

/** The set with which a round failed; of a retry that was not decided, the part that it was closed over at first. */
export function setOf(round: Round): readonly Upload[] {
  const { attempts, record } = round;
  const attempt = decisionOf(round)?.attempt ?? (record.retryOf === null ? attempts.at(-1) : attempts[0]);
  return attempt?.cohort ?? [];
}

const isOfWindow = ({ record }: Round, { taskHash, modelHash, window, bucket }: Window): boolean =>
  record.taskHash === taskHash &&
  record.modelHash === modelHash &&
  record.window === window &&
  record.bucket?.index === bucket?.index;

/** Whether `retryOf` may stand in a record of this window: null, or a failed round of the very same window. */
export function mayRetry(t: Transcript, window: Window, retryOf: string | null): boolean {
  if (retryOf === null) return true;
  const failed = t.rounds.get(retryOf);
  return failed !== undefined && isFailed(failed) && isOfWindow(failed, window);
}

/** The failed rounds before a retry, each named by the next, the oldest first. */
function failedBefore(t: Transcript, retryOf: string | null): Round[] {
  const chain: Round[] = [];
  for (let id = retryOf; id !== null; id = chain[0]!.record.retryOf) chain.unshift(t.rounds.get(id)!);
  return chain;
}

/** Whether any failed round before this retry was decided, so that a liar may know its sum. */
export function followsDecision(t: Transcript, retryOf: string | null): boolean {
  return failedBefore(t, retryOf).some((round) => decisionOf(round) !== null);
}

/**
 * What the next round of a window must say in `retryOf`: null for a window without a decision and a dispute, else the last
 * failed round.
 *
 * @returns undefined when a decision stands: no other round of the window can be decided.
 */
export function nextRetryOf(t: Transcript, window: Window): string | null | undefined {
  const rounds = [...t.rounds.values()].filter((round) => isOfWindow(round, window));
  for (let retryOf: string | null = null; ; ) {
    const key = windowKey(t, { ...window, retryOf });
    const isDecided = t.decidedWindows.has(key);
    const next = isDecided
      ? rounds.find((round) => decisionOf(round) !== null && windowKey(t, round.record) === key)
      : rounds.findLast((round) => round.record.retryOf === retryOf && isFailed(round));
    if (next === undefined || !isFailed(next)) return isDecided ? undefined : retryOf;
    retryOf = next.id;
  }
}

/** What a part of a failed set must have to be summed. */
interface Minimums {
  readonly cohort: number;
  readonly organisations: number;
}

type OrganisationOf = (node: string) => string | undefined;

const isLarge = (part: readonly Upload[], minimums: Minimums, organisationOf: OrganisationOf): boolean =>
  part.length >= minimums.cohort &&
  new Set(part.map(({ node }) => organisationOf(node))).size >= minimums.organisations;

/**
 * Two halves of a set: every second one, organisation by organisation, by payload hash. So each organisation keeps its
 * share, and a node has no place but its own in its hands. Null where either half would be below the minimums.
 */
function halvesOf(
  uploads: readonly Upload[],
  minimums: Minimums,
  organisationOf: OrganisationOf,
): readonly (readonly Upload[])[] | null {
  const ranked = [...uploads].sort((a, b) => (a.body.payloadHash < b.body.payloadHash ? -1 : 1));
  // Organisations in the order of their smallest hash.
  const grouped = [...Map.groupBy(ranked, ({ node }) => organisationOf(node)).values()].flat();
  const halves = [0, 1].map((parity) => grouped.filter((_, place) => place % 2 === parity));
  return halves.every((half) => isLarge(half, minimums, organisationOf)) ? halves : null;
}

/**
 * The sets over which retries of a failed set may be closed: its halves, their halves and so on, larger ones first; the set
 * itself where it has no halves. Any two of them are one in the other or apart, and what two sums over one model tell together
 * is again a sum over at least min_cohort nodes of min_orgs organisations.
 */
export function partsOf(
  failed: readonly Upload[],
  minimums: Minimums,
  organisationOf: OrganisationOf,
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
 * of which every node has uploaded again. Nobody chooses it. While nothing was decided nobody can know a sum, and parts are
 * made of those nodes of the set that are there; of everybody there, where those have become too few.
 *
 * @param present - what was uploaded, in log order. @returns none where no part is complete: then nothing can be summed.
 */
export function retrySet(t: Transcript, record: Round['record'], present: readonly Upload[]): readonly Upload[] {
  const chain = failedBefore(t, record.retryOf);
  const firstDecided = chain.findIndex((round) => decisionOf(round) !== null);
  const failed = chain.slice(Math.max(firstDecided, 0)).map(setOf);
  const minimums = { cohort: record.parameters.minCohort, organisations: record.minOrganisations };
  const organisationOf: OrganisationOf = (node) => t.parties.get(node)?.organisation;
  const here = new Set(present.map(({ node }) => node));
  const isHere = ({ node }: Upload): boolean => here.has(node);
  const left = failed[0]!.filter(isHere);
  const undecided = isLarge(left, minimums, organisationOf) ? left : present;
  const whole = firstDecided < 0 ? undecided : failed[0]!;
  const parts = partsOf(whole, minimums, organisationOf).filter((part) => part.every(isHere));
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
