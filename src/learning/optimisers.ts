/** Rules by which a recipient's server steps. */
export const OPTIMISERS = ['momentum', 'adam', 'yogi'] as const;
export type Optimiser = (typeof OPTIMISERS)[number];
