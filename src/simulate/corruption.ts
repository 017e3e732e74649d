import { AGGREGATOR_TRICKS, type AggregatorTrick } from './corrupt-aggregator.ts';
import { COORDINATOR_TRICKS, type CoordinatorTrick } from './corrupt-coordinator.ts';
import { MEMBER_TRICKS, type MemberTrick } from './corrupt-member.ts';
import { NODE_TRICKS, type NodeTrick } from './corrupt-node.ts';
import { RECIPIENT_TRICKS, type RecipientTrick } from './corrupt-recipient.ts';
import type { Sizes } from './founding.ts';
import type { Draw } from './random.ts';

/** Who lies, by number, and how. Never more than the claim allows: t - 1 members and witnesses, all nodes but two. */
export interface Corruption {
  readonly nodes: ReadonlyMap<number, NodeTrick>;
  readonly members: ReadonlyMap<number, MemberTrick>;
  readonly witnesses: ReadonlySet<number>;
  readonly aggregators: ReadonlyMap<number, AggregatorTrick>;
  readonly recipients: ReadonlyMap<number, RecipientTrick>;
  readonly coordinator: CoordinatorTrick | null;
  /** A corrupt coordinator shows heads that too few witnesses have cosigned. */
  readonly isEager: boolean;
}

export const HONEST: Corruption = {
  nodes: new Map(),
  members: new Map(),
  witnesses: new Set(),
  aggregators: new Map(),
  recipients: new Map(),
  coordinator: null,
  isEager: false,
};

/** Forks, more often than anything else: only they meet the witnesses. */
function drawTrick(draw: Draw): CoordinatorTrick {
  return draw.chance(0.4) ? 'forks the log' : draw.pick(COORDINATOR_TRICKS);
}

/** Half of all runs have nobody corrupt, the others one kind, or several. */
export function drawCorruption(draw: Draw, sizes: Sizes): Corruption {
  if (draw.chance(0.5)) return HONEST;
  const kinds = new Set(
    draw.some(['nodes', 'members', 'aggregators', 'coordinator'] as const, draw.pick([1, 1, 1, 2, 3])),
  );
  const coordinator = kinds.has('coordinator') ? drawTrick(draw) : null;
  const isQuorumHit = kinds.has('members') || coordinator !== null;
  const faulty = isQuorumHit ? draw.between(1, sizes.threshold - 1) : 0;
  const outside = draw.below(faulty + 1);
  const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  const members = draw.some(numbers(sizes.members), faulty - outside);
  const nodes = kinds.has('nodes') ? draw.some(numbers(sizes.nodes), draw.between(1, sizes.nodes - 2)) : [];
  const aggregators = kinds.has('aggregators') ? draw.some(numbers(sizes.aggregators), draw.between(1, 2)) : [];
  return {
    nodes: new Map(nodes.map((i) => [i, draw.pick(NODE_TRICKS)])),
    members: new Map(members.map((i) => [i, draw.pick(MEMBER_TRICKS)])),
    witnesses: new Set(draw.some(numbers(sizes.outsideWitnesses), outside)),
    aggregators: new Map(aggregators.map((i) => [i, draw.pick(AGGREGATOR_TRICKS)])),
    recipients: new Map(),
    coordinator,
    isEager: draw.chance(0.4),
  };
}

/** Recipients that lie, in a stream of their own: one run in eight. */
export function drawRecipients(draw: Draw, { recipients }: Sizes): Corruption['recipients'] {
  if (!draw.chance(1 / 8)) return new Map();
  const numbers = Array.from({ length: recipients }, (_, i) => i);
  return new Map(draw.some(numbers, draw.between(1, recipients)).map((i) => [i, draw.pick(RECIPIENT_TRICKS)]));
}

/** What a report says of it. */
export function describeCorruption(corruption: Corruption): string {
  const { nodes, members, witnesses, aggregators, recipients, coordinator } = corruption;
  const named = (role: string, tricks: Iterable<readonly [number, string]>): string[] =>
    [...tricks].map(([i, trick]) => `${role}-${i + 1} ${trick}`);
  const all = [
    ...named('node', nodes),
    ...named('member', members),
    ...named('aggregator', aggregators),
    ...named('recipient', recipients),
    ...[...witnesses].map((i) => `witness-${i + 1} cosigns anything`),
    ...(coordinator === null ? [] : [`coordinator ${coordinator}`]),
  ];
  return all.length === 0 ? 'nobody is corrupt' : all.join('; ');
}
