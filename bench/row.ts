export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What it was measured against in the same run, with its value; empty where there is none. */
  readonly baseline: string;
  /** Ours over the baseline, above 1 is better; null where there is no baseline. */
  readonly ratio: number | null;
}
