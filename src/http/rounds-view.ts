/** Where a round stands. `released` and `aborted` are ends; the others name the phase that is running. */
export type RoundState = 'open' | 'closed' | 'confirmed' | 'decided' | 'released' | 'aborted';

/** One round as the page shows it: public facts from the log, nothing else. Every string may be a peer's. */
export interface RoundRow {
  /** Hash of the round's record, hex. */
  readonly id: string;
  /** Index of the open leaf. */
  readonly openLeaf: number;
  readonly task: string;
  readonly state: RoundState;
  /** Reason code of an abort, else empty. */
  readonly reason: string;
  /** Complete uploads; nodes in the set that was last closed; the least the round allows. */
  readonly uploads: number;
  readonly cohort: number;
  readonly minCohort: number;
  /** Closes so far: 1 where nobody vanished. */
  readonly attempts: number;
  /** Privacy charged for this round, as epsilon at the log's delta; null before the decision. */
  readonly epsilon: number | null;
  /** Payload bytes received. */
  readonly bytes: number;
}

/** Where the page gets its rounds, newest first. */
export type RoundsView = () => Promise<readonly RoundRow[]>;
