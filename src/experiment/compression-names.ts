/** How updates are made shorter: as they are, rotated first, or with what is left out added to the next one. */
export const VARIANTS = ['plain', 'rotated', 'feedback'] as const;
export type Variant = (typeof VARIANTS)[number];

/** Bits of a value; 'default': what a task has that names none. */
export type Bits = number | 'default';
