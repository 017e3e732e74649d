/** What a number goes through before it is centred and scaled. `signedLog` is sign(x) ln(1 + |x|). None of them ever falls. */
export const TRANSFORMS = {
  identity: (value: number): number => value,
  log1p: Math.log1p,
  signedLog: (value: number): number => Math.sign(value) * Math.log1p(Math.abs(value)),
  sqrt: Math.sqrt,
} as const;

export type Transform = keyof typeof TRANSFORMS;

/** Raw values that a column is believed to lie between, by what it means and not by anybody's rows. */
export interface Bounds {
  readonly low: number;
  readonly high: number;
}

/** Middle and half of the width of bounds, transformed. Null where that leaves no width, or the transform is undefined there. */
export function spanOf({ low, high }: Bounds, transform: Transform): { middle: number; half: number } | null {
  const [from, to] = [TRANSFORMS[transform](low), TRANSFORMS[transform](high)];
  const half = (to - from) / 2;
  const middle = from + half;
  return half > 0 && Number.isFinite(half) && Number.isFinite(middle) ? { middle, half } : null;
}
