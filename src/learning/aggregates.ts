/** How a recipient makes one update of the means of buckets (robust.ts). */
export const AGGREGATES = ['mean', 'median', 'trimmed-mean', 'geometric-median', 'three-sigma'] as const;
export type Aggregate = (typeof AGGREGATES)[number];
