// Four lanes of arithmetic modulo a prime q < 2^30. "Lazy" values lie in [0, 2q), canonical ones in [0, q).
// Nothing here branches or indexes on a value.

/** Unsigned high words of the lane-wise 64-bit products. */
// @ts-ignore: decorator
@inline
export function mulHigh(x: v128, y: v128): v128 {
  return v128.shuffle<i32>(i64x2.extmul_low_i32x4_u(x, y), i64x2.extmul_high_i32x4_u(x, y), 1, 3, 5, 7);
}

/** Subtracts the bound from lanes that reach it: [0, 2*bound) to [0, bound). Wraps below zero, so the minimum picks. */
// @ts-ignore: decorator
@inline
export function reduceOnce(x: v128, bound: v128): v128 {
  return i32x4.min_u(x, i32x4.sub(x, bound));
}

/**
 * x * w mod q in [0, 2q) for any x < 2^32, with w < q and its precomputed quotient floor(w * 2^32 / q).
 * Shoup's multiplication, as in Harvey, "Faster arithmetic for number-theoretic transforms" (2014), algorithm 2.
 */
// @ts-ignore: decorator
@inline
export function multiplyFixed(x: v128, w: v128, quotient: v128, q: v128): v128 {
  return i32x4.sub(i32x4.mul(x, w), i32x4.mul(mulHigh(x, quotient), q));
}

/**
 * x * y / 2^32 mod q in [0, 2q), for x * y < q * 2^32 (so: lazy times lazy). Montgomery (1985), with the positive inverse
 * `inverse` = q^-1 mod 2^32: high(x y) - high(low(x y) * inverse * q), then + q to be unsigned.
 */
// @ts-ignore: decorator
@inline
export function multiplyMontgomery(x: v128, y: v128, q: v128, inverse: v128): v128 {
  const m = i32x4.mul(i32x4.mul(x, y), inverse);
  // The low halves agree, so the 64-bit difference is exact in its high half.
  const low = i64x2.sub(i64x2.extmul_low_i32x4_u(x, y), i64x2.extmul_low_i32x4_u(m, q));
  const high = i64x2.sub(i64x2.extmul_high_i32x4_u(x, y), i64x2.extmul_high_i32x4_u(m, q));
  return i32x4.add(v128.shuffle<i32>(low, high, 1, 3, 5, 7), q);
}

/** q^-1 mod 2^32 for odd q, by Newton's iteration: each step doubles the number of right bits. */
export function inverseWord(q: u32): u32 {
  let x: u32 = q;
  for (let i = 0; i < 4; i++) x *= 2 - q * x;
  return x;
}

/** Product of public numbers mod q. Division is not constant time: tables only. */
// @ts-ignore: decorator
@inline
export function multiplyPublic(x: u32, y: u32, q: u32): u32 {
  return <u32>((<u64>x * <u64>y) % <u64>q);
}

/** Power of public numbers mod q. */
export function powerPublic(base: u32, exponent: u32, q: u32): u32 {
  let result: u32 = 1;
  for (let b = base; exponent !== 0; exponent >>= 1) {
    if (exponent & 1) result = multiplyPublic(result, b, q);
    b = multiplyPublic(b, b, q);
  }
  return result;
}

/** floor(w * 2^32 / q), the second operand of multiplyFixed. */
// @ts-ignore: decorator
@inline
export function quotientOf(w: u32, q: u32): u32 {
  return <u32>((<u64>w << 32) / <u64>q);
}
