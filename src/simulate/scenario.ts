import { type Change, drawChanges } from './changes.ts';
import { type Corruption, drawCorruption, drawRecipients } from './corruption.ts';
import type { Sizes } from './founding.ts';
import { type Faults, NO_FAULTS } from './network.ts';
import type { Draw } from './random.ts';

/** What a seed stands for: how large the federation is, what goes wrong, who lies. */
export interface Scenario {
  readonly sizes: Sizes;
  readonly faults: Faults;
  readonly corruption: Corruption;
  readonly changes: readonly Change[];
  /** Rounds that an officer asks for: data window, and when. */
  readonly requests: readonly { readonly window: number; readonly atMs: number }[];
}

/** Draws a scenario. */
export function drawScenario(draw: Draw): Scenario {
  const [members, threshold] = draw.pick([
    [3, 2],
    [3, 2],
    [5, 3],
  ] as const);
  const nodes = draw.between(3, 6);
  const rounds = draw.between(1, 3);
  const sizes: Sizes = {
    nodes,
    members,
    threshold,
    recipients: draw.chance(0.25) ? 2 : 1,
    outsideWitnesses: 2,
    aggregators: 2,
    minCohort: draw.between(2, nodes - 1),
    budgetRounds: draw.between(1, rounds + 1),
  };
  // Rounds one after the other, or all at once; over windows of their own, or racing for one.
  const isRacing = draw.chance(0.4);
  const isOneWindow = draw.chance(0.3);
  const requests = Array.from({ length: rounds }, (_, i) => ({
    window: isOneWindow ? 1 : i + 1,
    atMs: isRacing ? draw.below(2000) : i * draw.between(2000, 15_000),
  }));
  const faults = drawFaults(draw);
  const drawn = drawCorruption(draw, sizes);
  const recipients = drawRecipients(draw.fork('recipients'), sizes);
  const corruption = { ...drawn, recipients };
  const changes = drawChanges(draw.fork('changes'), sizes, corruption);
  if (recipients.size === 0) return { sizes, faults, corruption, changes, requests };
  // Lies about an opening are for a second sum over the same window: there is room for it, and it is asked for.
  const again = Array.from({ length: 4 }, (_, i) => ({ window: 1, atMs: i * draw.between(6000, 20_000) }));
  const large = { ...sizes, nodes: 6, minCohort: 2, budgetRounds: 4 };
  const isAlone = drawn.nodes.size > 0 || drawn.coordinator !== null || draw.chance(0.3);
  const bought: Corruption['nodes'] = isAlone ? drawn.nodes : new Map([[draw.below(6), 'confirms now and then']]);
  return { sizes: large, faults, corruption: { ...corruption, nodes: bought }, changes, requests: again };
}

/** One seed in six has no faults, the others have some of each kind, or much of one. */
function drawFaults(draw: Draw): Faults {
  if (draw.chance(1 / 6)) return NO_FAULTS;
  const level = draw.pick([0.5, 1, 2]);
  const maybe = (probability: number): number => (draw.chance(0.6) ? probability * level : 0);
  return {
    dropRequest: maybe(0.03),
    dropResponse: maybe(0.05),
    duplicate: maybe(0.05),
    slow: maybe(0.05),
    delayMs: draw.pick([100, 1000, 4000]),
    crash: maybe(0.003),
    restore: draw.chance(0.3) ? 0.1 : 0,
    partition: maybe(0.0005),
    untilMs: draw.between(5_000, 40_000),
  };
}
