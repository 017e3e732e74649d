/** What bad nodes do. They know everything that honest nodes send, and are not bound to clip. */
export const ATTACKS = ['sign-flip', 'scaling', 'label-flip', 'backdoor', 'little-is-enough'] as const;
export type Attack = (typeof ATTACKS)[number];
