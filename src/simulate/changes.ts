import type { Corruption } from './corruption.ts';
import type { Sizes } from './founding.ts';
import type { Draw } from './random.ts';

/** What the founders do to the federation while it runs. */
export type Change =
  | { readonly what: 'revoke'; readonly name: string; readonly atMs: number }
  | {
      readonly what: 'quorum';
      /** Who leaves, and who joins: an enrolled member that is not in the quorum. */
      readonly leaves: string | null;
      readonly joins: string | null;
      /** The root key tries it first with too few approvals, forged ones, and while rounds run. */
      readonly isForced: boolean;
      readonly atMs: number;
    };

/** The member that is enrolled beside the first quorum, where there is one. */
export const SPARE = 'member-new';

/** Two runs in three have none. */
export function drawChanges(draw: Draw, { nodes, members, recipients }: Sizes, corruption: Corruption): Change[] {
  const changes: Change[] = [];
  const someone = (role: string, count: number): string => `${role}-${1 + draw.below(count)}`;
  const atMs = (): number => draw.below(25_000);
  if (draw.chance(0.2)) {
    const leaves = draw.chance(0.5) || members > 3 ? someone('member', members) : null;
    const joins = leaves === null || draw.chance(0.7) ? SPARE : null;
    // Whom the root key asks first, is asked: a corrupt coordinator could show anything.
    changes.push({ what: 'quorum', leaves, joins, isForced: draw.chance(0.5), atMs: atMs() });
    if (joins !== null && draw.chance(0.3))
      changes.push({ what: 'quorum', leaves: SPARE, joins: leaves, isForced: false, atMs: 20_000 + atMs() });
  }
  if (draw.chance(0.2)) {
    const role = draw.pick(['node', 'node', 'node', 'member', 'member', 'recipient'] as const);
    const counts = { node: nodes, member: members, recipient: recipients };
    changes.push({ what: 'revoke', name: someone(role, counts[role]), atMs: atMs() });
  }
  return corruption.coordinator === null ? changes : [];
}
