/** Where crypto/kernel/noise.ts keeps what: fixed byte addresses, above the compiler's own constants. */

/** Most candidates of one batch; a multiple of 4. */
export const BATCH: i32 = 4096;
/** Most flagged candidates of one batch that `resolve` can serve. */
export const SLOTS: i32 = 4;

// Byte addresses. HIGH holds every table word twice, so that a load fills both lanes.
export const HIGH: usize = 0x1000;
export const LOW: usize = 0x1400;
export const FACTORS: usize = 0x1800;
export const TABLE_WORDS: usize = 0x2000;
/** Keystream: BATCH table words, BATCH acceptance words (64 bits each), BATCH words of 32 bits, SLOTS times 2 more of 64. */
export const RANDOM: usize = TABLE_WORDS;
export const ACCEPT_WORDS: usize = RANDOM + (<usize>BATCH << 3);
export const LOW_WORDS: usize = ACCEPT_WORDS + (<usize>BATCH << 3);
export const EXTENSIONS: usize = LOW_WORDS + (<usize>BATCH << 2);
export const RANDOM_END: usize = EXTENSIONS + (<usize>SLOTS << 4);
export const VALUES: usize = RANDOM_END;
export const KEPT: usize = VALUES + (<usize>BATCH << 2);
export const FLAGS: usize = KEPT + (<usize>BATCH << 2);
export const OUTPUT: usize = FLAGS + (<usize>BATCH << 2);
export const END: usize = OUTPUT + (<usize>BATCH << 2);
