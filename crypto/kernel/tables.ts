// One prime's tables: 64 bytes of constants, then four arrays of N words: the powers of psi in Harvey's bit-reversed order,
// their quotients for multiplyFixed, and the same two for 1/psi. All of it is public.
import { inverseWord, multiplyPublic, powerPublic, quotientOf } from './modular';

/** Bytes before the first array. */
export const HEADER: usize = 64;
export const AT_PRIME: usize = 0;
export const AT_INVERSE: usize = 4;
/** 2^64 mod q: its Montgomery product with x is x * 2^32. */
export const AT_SQUARE: usize = 8;
/** 1/N mod q and its quotient. */
export const AT_SCALE: usize = 12;
export const AT_SCALE_QUOTIENT: usize = 16;
/** psi^-1 at index 1 of the tree, times 1/N: the last layer of the inverse transform scales as it goes. */
export const AT_LAST: usize = 20;
export const AT_LAST_QUOTIENT: usize = 24;

/** Bytes of one prime's tables. */
export function tableBytes(n: u32): u32 {
  return <u32>HEADER + 16 * n;
}

/**
 * The least primitive 2N-th root of unity mod q: what SEAL's tables are built on, so that its NTT form is ours.
 * @returns 0 when q is not 1 mod 2N (or not a prime).
 */
export function minimalRoot(q: u32, n: u32): u32 {
  const order = 2 * n;
  if (q < 2 || (q - 1) % order !== 0) return 0;
  let root: u32 = 0;
  // psi^N = -1 is what makes the order exactly 2N, N being a power of two.
  for (let candidate: u32 = 2; candidate < 1000 && root === 0; candidate++) {
    const power = powerPublic(candidate, (q - 1) / order, q);
    if (powerPublic(power, n, q) === q - 1) root = power;
  }
  if (root === 0) return 0;
  // The primitive roots are the odd powers of any one of them.
  const step = multiplyPublic(root, root, q);
  let least = root;
  for (let i: u32 = 1; i < n; i++) {
    root = multiplyPublic(root, step, q);
    if (root < least) least = root;
  }
  return least;
}

/** Where index k of the tree lies: the last layer's twiddles are kept as four even ones, then four odd ones. */
// @ts-ignore: decorator
@inline
function place(k: u32, n: u32): u32 {
  if (k < n >> 1) return k;
  const within = k & 7;
  return (k & ~7) | ((within & 1) << 2) | (within >> 1);
}

function fillPowers(at: usize, psi: u32, q: u32, n: u32, bits: u32): void {
  let power: u32 = 1;
  for (let i: u32 = 0; i < n; i++) {
    const slot = at + <usize>place(reverseBits(i, bits), n) * 4;
    store<u32>(slot, power);
    store<u32>(slot + <usize>n * 4, quotientOf(power, q));
    power = multiplyPublic(power, psi, q);
  }
}

function reverseBits(x: u32, bits: u32): u32 {
  let result: u32 = 0;
  for (let i: u32 = 0; i < bits; i++) result |= ((x >> i) & 1) << (bits - 1 - i);
  return result;
}

/**
 * Fills the tables at `at`. @returns the root, or 0 when (q, N) has none; nothing is written then.
 * N is a power of two from 32 to 2^15; q < 2^30.
 */
export function initTables(at: usize, q: u32, n: u32): u32 {
  const psi = minimalRoot(q, n);
  if (psi === 0) return 0;
  const bits: u32 = 31 - clz(n);
  const inversePsi = powerPublic(psi, 2 * n - 1, q);
  fillPowers(at + HEADER, psi, q, n, bits);
  fillPowers(at + HEADER + 8 * <usize>n, inversePsi, q, n, bits);

  const scale = q - (q - 1) / n; // N * ((q-1)/N) = -1, so 1/N = -(q-1)/N.
  const last = multiplyPublic(load<u32>(at + HEADER + 8 * <usize>n + 4), scale, q);
  const word = <u32>((<u64>1 << 32) % <u64>q);
  store<u32>(at + AT_PRIME, q);
  store<u32>(at + AT_INVERSE, inverseWord(q));
  store<u32>(at + AT_SQUARE, multiplyPublic(word, word, q));
  store<u32>(at + AT_SCALE, scale);
  store<u32>(at + AT_SCALE_QUOTIENT, quotientOf(scale, q));
  store<u32>(at + AT_LAST, last);
  store<u32>(at + AT_LAST_QUOTIENT, quotientOf(last, q));
  return psi;
}
