import { setCount } from '../crypto/params.ts';

/** Most sets of n-t+1 members that a round can carry: each costs every node a seed and every member an expansion. */
const MAX_SHARING_SETS = 256;

/**
 * Whether replicated secret sharing t of n can be carried (DESIGN 5).
 *
 * @returns null, or the reason in words.
 */
export function checkQuorumSize(members: number, threshold: number): string | null {
  if (!Number.isInteger(members) || !Number.isInteger(threshold)) return 'n and t must be whole numbers';
  if (threshold < 2) return 'a threshold below 2 lets one member open alone';
  if (members < 2 * threshold - 1) {
    return `n >= 2t-1 is needed so that honest members can name wrong answers: t=${threshold} takes n >= ${2 * threshold - 1}`;
  }
  const sets = setCount(members, threshold);
  if (sets > MAX_SHARING_SETS) {
    return `${threshold} of ${members} needs ${sets} sets and at most ${MAX_SHARING_SETS} are carried: choose a smaller quorum`;
  }
  return null;
}
