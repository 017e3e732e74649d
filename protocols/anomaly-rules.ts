export type AnomalyCode =
  | 'ABORTS_IN_A_ROW'
  | 'NODE_DROPS_OUT'
  | 'HOLDER_COMPLAINS'
  | 'NODE_COMPLAINED_OF'
  | 'MEMBER_NAMED'
  | 'REVOKED_IN_A_ROUND'
  | 'OPENED_IN_HASTE'
  | 'IN_ALL_FAILED_SETS';

/** One numbered pattern that is looked for. Numbers are never reused. */
export interface AnomalyRule {
  readonly id: number;
  readonly code: AnomalyCode;
  readonly sentence: string;
  /** From when on it is reported. */
  readonly threshold: string;
}

/** How often a rule of chance may be wrong about one log in which what happens hits parties alike and independently. */
export const FALSE_ALARM = 0.01;
/** Fewer than this never stand out, however rare they are. */
export const LEAST = 3;
/** Intervals that a task's pace is compared with, at least, and how much faster is odd. */
export const PACE_ROUNDS = 8;
export const HASTE = 10;

const BY_CHANCE = `at least ${LEAST}, and so many by chance in fewer than ${FALSE_ALARM * 100} logs of a hundred if it hit all alike`;

/** What a log is looked at for. No anomaly is a violation: honest parties have faults, and faults have patterns. */
export const ANOMALIES: readonly AnomalyRule[] = [
  {
    id: 1,
    code: 'ABORTS_IN_A_ROW',
    sentence: 'Rounds of a task are aborted one after the other, more of them than its earlier rounds let expect.',
    threshold: BY_CHANCE,
  },
  {
    id: 2,
    code: 'NODE_DROPS_OUT',
    sentence: 'A node uploads and then does not confirm, more often than the others.',
    threshold: `${BY_CHANCE}; in rounds that asked it to confirm`,
  },
  {
    id: 3,
    code: 'HOLDER_COMPLAINS',
    sentence:
      'A member or recipient says of boxes of several nodes that it cannot use them, more often than the others.',
    threshold: `${BY_CHANCE}; in rounds, over boxes of two nodes or more`,
  },
  {
    id: 4,
    code: 'NODE_COMPLAINED_OF',
    sentence: 'Boxes of one node cannot be used, more often than those of the others.',
    threshold: `${BY_CHANCE}; in rounds`,
  },
  {
    id: 5,
    code: 'MEMBER_NAMED',
    sentence: "A member's answers do not hold, more often than those of the others.",
    threshold: `${BY_CHANCE}; in rounds`,
  },
  {
    id: 6,
    code: 'REVOKED_IN_A_ROUND',
    sentence: 'A party was revoked while it took part in a round.',
    threshold: 'each',
  },
  {
    id: 7,
    code: 'OPENED_IN_HASTE',
    sentence: "Rounds of a task are opened much faster than before, by the coordinator's clock.",
    threshold: `${LEAST} intervals in a row below a ${HASTE}th of the median of at least ${PACE_ROUNDS} before them`,
  },
  {
    id: 8,
    code: 'IN_ALL_FAILED_SETS',
    sentence: 'One node is in every set that could not be opened, and in none that was opened since the first of them.',
    threshold: `at least 2 failed sets, and by chance in fewer than ${FALSE_ALARM * 100} logs of a hundred if sets of these sizes were drawn at random`,
  },
];
