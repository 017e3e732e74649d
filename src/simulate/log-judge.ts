import { toHex } from '../../crypto/encoding.ts';
import { leafHash } from '../../crypto/merkle.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import type { AnyLeaf, Body } from '../../protocols/leaves.ts';
import { type RoundRecord, roundIdOf } from '../../protocols/record.ts';
import { approvalOf, Violation } from './truth.ts';

/**
 * A second implementation of what makes a decision valid (S8) and what it costs (S9). It shares no rule with
 * `protocols/rules*.ts`, keeps plain lists, and knows only what a person would check by hand: who was in, who confirmed,
 * who was ready, what was charged. Leaves that lost a race are those that it has no use for.
 */
interface JudgedRound {
  readonly record: RoundRecord;
  /** First upload of each node before the first close. */
  readonly uploads: Map<string, number>;
  readonly closes: JudgedClose[];
  decided: boolean;
  answered: Set<string>;
  ended: boolean;
  /** Index from which on it is over, whatever happened. */
  readonly end: number;
}

/** A set that a sum over a window was decided for. */
interface Summed {
  readonly window: string;
  readonly cohort: ReadonlySet<string>;
}

type Quorum = Pick<Body<'quorum'>, 'number' | 'members' | 'threshold'>;

interface JudgedClose {
  readonly hash: string;
  readonly sumHash: string;
  readonly cohort: readonly string[];
  /** First confirmation of each node. */
  readonly confirms: Map<string, number>;
  readonly ready: Set<string>;
  readonly readyRecipients: Set<string>;
}

const bad = (index: number, what: string): never => {
  throw new Violation('S8', `leaf ${index}: ${what}`);
};

/** @param approvals - of changes of the quorum, as they were really given. */
export function judgeLog(
  p: Primitives,
  genesis: Body<'genesis'>,
  approvals: ReadonlySet<string>,
  leaves: readonly Uint8Array[],
): void {
  const rounds = new Map<string, JudgedRound>();
  const byClose = new Map<string, JudgedRound>();
  const byDecide = new Map<string, JudgedRound>();
  const windows = new Set<string>();
  const summed: Summed[] = [];
  const organisations = new Map<string, string>();
  const revoked = new Set<string>();
  let spent = 0;
  let quorum: Quorum = {
    number: 0,
    members: genesis.members.map(({ name }) => name),
    threshold: genesis.threshold,
  };

  for (const [index, bytes] of leaves.entries()) {
    const leaf = JSON.parse(new TextDecoder().decode(bytes)) as AnyLeaf;
    const hash = toHex(leafHash(p, bytes));
    const { actor } = leaf;
    if (leaf.kind === 'enrol') organisations.set(leaf.body.name, leaf.body.organisation);
    else if (leaf.kind === 'revoke') revoked.add(leaf.body.name);
    else if (leaf.kind === 'quorum') {
      const running = [...rounds.values()].some((round) => !round.ended && index < round.end);
      if (running) bad(index, 'the quorum changes while a round runs');
      judgeChange(quorum, leaf.body, approvals, revoked, index);
      quorum = leaf.body;
    } else if (leaf.kind === 'open') {
      const { record } = leaf.body;
      const id = roundIdOf(p, record);
      if (rounds.has(id)) continue;
      const names = record.members.map(({ name }) => name);
      if (names.some((name) => !quorum.members.includes(name) || revoked.has(name)))
        bad(index, 'a member of the round is not in the quorum');
      if (record.parameters.threshold !== quorum.threshold || names.length < 2 * quorum.threshold - 1)
        bad(index, 'a round with another threshold, or with fewer than 2t-1 members');
      const promised = [...rounds.values()].filter((other) => !other.decided && !other.ended && index < other.end);
      const all = promised.reduce((sum, other) => sum + other.record.charge.rhoNano, spent + record.charge.rhoNano);
      if (all > genesis.budget.rhoNano)
        throw new Violation('S9', `leaf ${index}: with this round ${all} nano-rho are spent or promised`);
      const round = {
        record,
        uploads: new Map(),
        closes: [],
        decided: false,
        answered: new Set<string>(),
        ended: false,
        end: index + record.maxLeaves,
      };
      rounds.set(id, round);
    } else if (leaf.kind === 'upload') {
      const round = rounds.get(leaf.body.round);
      if (round?.closes.length === 0 && !round.ended && !round.uploads.has(actor)) round.uploads.set(actor, index);
    } else if (leaf.kind === 'close') {
      const round = rounds.get(leaf.body.round);
      if (round === undefined || round.ended || round.decided) continue;
      const close = judgeClose(round, leaf.body, revoked, hash, index);
      if (close.cohort.some((node) => revoked.has(node))) bad(index, 'a revoked node is in U');
      const held = new Set(close.cohort.map((node) => organisations.get(node)));
      if (held.size < Math.max(genesis.minimums.organisations, round.record.minOrganisations))
        bad(index, 'too few orgs');
      if (close.cohort.length < Math.max(genesis.minimums.cohort, round.record.parameters.minCohort))
        bad(index, 'U is below min_cohort');
      round.closes.push(close);
      byClose.set(hash, round);
    } else if (leaf.kind === 'confirm') {
      const close = currentClose(byClose.get(leaf.body.close), leaf.body.close);
      if (close?.cohort.includes(actor) === true && !close.confirms.has(actor)) close.confirms.set(actor, index);
    } else if (leaf.kind === 'ready') {
      const round = byClose.get(leaf.body.close);
      const close = currentClose(round, leaf.body.close);
      if (close === null) continue;
      if (close.confirms.size !== close.cohort.length) bad(index, `${actor} is ready before all of U confirmed`);
      if (round!.record.members.some(({ name }) => name === actor)) close.ready.add(actor);
      if (round!.record.recipients.some(({ name }) => name === actor)) close.readyRecipients.add(actor);
    } else if (leaf.kind === 'decide') {
      const round = rounds.get(leaf.body.round);
      if (round === undefined || round.ended || round.decided) continue; // the first decision binds
      judgeDecision(rounds, round, leaf.body, windows, revoked, index);
      judgeDifferences(summed, round, genesis, organisations, index);
      byDecide.set(hash, round);
      spent += leaf.body.rhoNano;
      if (spent > genesis.budget.rhoNano) throw new Violation('S9', `leaf ${index} spends ${spent} nano-rho`);
    } else if (leaf.kind === 'answer') {
      const round = byDecide.get(leaf.body.decide);
      if (round === undefined) bad(index, 'an answer to no decision');
      if (!round!.closes.at(-1)!.ready.has(actor)) bad(index, 'an answer of a member that was not ready');
      if (revoked.has(actor)) bad(index, 'an answer of a revoked member');
      if (!round!.ended) round!.answered.add(actor);
    } else if (leaf.kind === 'release') {
      const round = byDecide.get(leaf.body.decide);
      if (round === undefined) bad(index, 'a result of no decision');
      if (round!.answered.size < round!.record.parameters.threshold) bad(index, 'a result from fewer than t answers');
      round!.ended = true;
    } else if (leaf.kind === 'abort') {
      const round = rounds.get(leaf.body.round);
      if (round !== undefined) round.ended = true;
    }
  }
}

function currentClose(round: JudgedRound | undefined, close: string): JudgedClose | null {
  const last = round?.closes.at(-1);
  return last !== undefined && last.hash === close && !round!.decided && !round!.ended ? last : null;
}

function judgeClose(
  round: JudgedRound,
  body: Body<'close'>,
  revoked: ReadonlySet<string>,
  hash: string,
  index: number,
): JudgedClose {
  const last = round.closes.at(-1);
  if (body.attempt !== round.closes.length + 1) bad(index, 'attempts do not follow one another');
  const nodeOf = new Map([...round.uploads].map(([node, at]) => [at, node]));
  const cohort = body.uploads.map((at) => nodeOf.get(at) ?? bad(index, `${at} is nobody's first upload`));
  if (new Set(cohort).size !== cohort.length) bad(index, 'a node is in U twice');
  if (last === undefined) {
    // A retry is over a half that its payload hashes determine.
    const present = [...round.uploads.keys()].filter((node) => !revoked.has(node));
    if (round.record.retryOf === null && cohort.length !== present.length)
      bad(index, 'an upload before the close is not in U');
  } else {
    if (cohort.length >= last.cohort.length) bad(index, 'a new attempt is not smaller');
    for (const node of cohort) if (!last.confirms.has(node)) bad(index, `${node} had not confirmed`);
  }
  const none = { confirms: new Map(), ready: new Set<string>(), readyRecipients: new Set<string>() };
  return { hash, sumHash: body.sumHash, cohort, ...none };
}

/**
 * Two sums over one model and window tell their difference, too: what they have in common, and what only one of them has, is nobody
 * or enough nodes of enough organisations.
 */
function judgeDifferences(
  summed: Summed[],
  { record, closes }: JudgedRound,
  { minimums }: Body<'genesis'>,
  organisations: ReadonlyMap<string, string>,
  index: number,
): void {
  const window = `${record.taskHash} ${record.modelHash} ${record.window}`;
  const cohort = new Set(closes.at(-1)!.cohort);
  for (const earlier of summed) {
    if (earlier.window !== window) continue;
    const without = (set: ReadonlySet<string>, other: ReadonlySet<string>): string[] =>
      [...set].filter((node) => !other.has(node));
    const common = [...cohort].filter((node) => earlier.cohort.has(node));
    for (const part of [common, without(cohort, earlier.cohort), without(earlier.cohort, cohort)]) {
      const held = new Set(part.map((node) => organisations.get(node)));
      const isLarge = part.length >= minimums.cohort && held.size >= minimums.organisations;
      if (part.length > 0 && !isLarge)
        throw new Violation('S18', `leaf ${index}: with an earlier sum it tells that of ${part.join()}`);
    }
  }
  summed.push({ window, cohort });
}

/** t members of the quorum that was, each once, for this very change. */
function judgeChange(
  before: Quorum,
  body: Body<'quorum'>,
  approvals: ReadonlySet<string>,
  revoked: ReadonlySet<string>,
  index: number,
): void {
  if (body.number !== before.number + 1) bad(index, 'changes of the quorum do not follow one another');
  const given = new Set(body.approvals.map(({ member }) => member));
  for (const member of given) {
    if (!approvals.has(approvalOf(member, body))) bad(index, `${member} never approved this change`);
    if (!before.members.includes(member) || revoked.has(member)) bad(index, `${member} may not approve`);
  }
  if (given.size < before.threshold) bad(index, `a change that ${given.size} members approved`);
  if (body.members.some((name) => revoked.has(name))) bad(index, 'a revoked member in the new quorum');
  if (body.members.length < 2 * body.threshold - 1) bad(index, 'a quorum of fewer than 2t-1');
}

function judgeDecision(
  rounds: ReadonlyMap<string, JudgedRound>,
  round: JudgedRound,
  body: Body<'decide'>,
  windows: Set<string>,
  revoked: ReadonlySet<string>,
  index: number,
): void {
  const { record } = round;
  const { threshold } = record.parameters;
  const last = round.closes.at(-1);
  if (last?.hash !== body.close) bad(index, 'a decision of another attempt than the last');
  const confirms = last!.cohort.map((node) => last!.confirms.get(node));
  if (
    confirms.some((at, i) => at === undefined || at !== body.confirms[i]) ||
    confirms.length !== body.confirms.length
  ) {
    bad(index, 'a decision without the first confirmation of all of U');
  }
  const ready = [...last!.ready].filter((name) => !revoked.has(name)).length;
  if (ready < threshold) bad(index, `a decision with ${ready} ready members`);
  if (last!.cohort.some((node) => revoked.has(node))) bad(index, 'a decision over a revoked node');
  for (const { name } of record.recipients)
    if (!last!.readyRecipients.has(name)) bad(index, `a decision before ${name} was ready`);
  if (body.sumHash !== last!.sumHash) bad(index, 'a decision over another sum');
  if (body.rhoNano !== record.charge.rhoNano) bad(index, 'a decision at another price');
  // A round that ended undecided leaves its window to its retries.
  let { retryOf } = record;
  while (retryOf !== null && !rounds.get(retryOf)!.decided) retryOf = rounds.get(retryOf)!.record.retryOf;
  const window = `${record.taskHash} ${record.modelHash} ${record.window} ${retryOf}`;
  if (windows.has(window)) bad(index, 'a second decision of a task, model and window');
  windows.add(window);
  round.decided = true;
}
