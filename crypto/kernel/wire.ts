// Residues on the wire: groups of 128 in four lanes of `bits`-bit fields (SIMD-BP128: Lemire and Boytsov, SPE 2015), so
// that field i of all lanes is one vector and every shift is a constant. Each size of field is a function of its own,
// made by inlining the functions here with a constant `bits`; wire-sizes.ts lists them.
import { reduceOnce } from './modular';

/** Field i of four lanes: 32 - bits zero bits on top. */
// @ts-ignore: decorator
@inline
function field(at: usize, i: i32, bits: i32): v128 {
  const word = (i * bits) >> 5;
  const shift = (i * bits) & 31;
  let x = v128.load(at + 16 * word);
  if (shift > 0) x = i32x4.shr_u(x, shift);
  if (shift + bits > 32) x = v128.or(x, i32x4.shl(v128.load(at + 16 * (word + 1)), 32 - shift));
  if (shift + bits === 32) return x;
  return v128.and(x, i32x4.splat((1 << bits) - 1));
}

/** One field added to the running sum; returns the larger of it and `most`. */
// @ts-ignore: decorator
@inline
function addField(sum: usize, at: usize, most: v128, q: v128, i: i32, bits: i32): v128 {
  const x = field(at, i, bits);
  v128.store(sum + 16 * i, reduceOnce(i32x4.add(v128.load(sum + 16 * i), x), q));
  return i32x4.max_u(most, x);
}

// @ts-ignore: decorator
@inline
function readField(out: usize, at: usize, most: v128, i: i32, bits: i32): v128 {
  const x = field(at, i, bits);
  v128.store(out + 16 * i, x);
  return i32x4.max_u(most, x);
}

/** The word of four lanes that ends with field i, when one does; `rest` carries what is left over to the next. */
// @ts-ignore: decorator
@inline
function writeField(at: usize, x: usize, rest: v128, i: i32, bits: i32): v128 {
  const word = (i * bits) >> 5;
  const shift = (i * bits) & 31;
  const y = v128.load(x + 16 * i);
  const joined = shift === 0 ? y : v128.or(rest, i32x4.shl(y, shift));
  if (shift + bits < 32) return joined;
  v128.store(at + 16 * word, joined);
  return shift + bits === 32 ? joined : i32x4.shr_u(y, 32 - shift);
}

/**
 * Adds packed residues to `sum`, canonical. @returns the largest residue of each lane, by which the caller knows whether
 * all were in range; if not, the sum is repaired by `subtractGroups`.
 */
// @ts-ignore: decorator
@inline
export function addGroups(sum: usize, at: usize, groups: u32, q: v128, bits: i32): v128 {
  let most = i32x4.splat(0);
  for (const end = sum + 512 * <usize>groups; sum < end; sum += 512, at += 16 * <usize>bits) {
    most = addField(sum, at, most, q, 0, bits);
    most = addField(sum, at, most, q, 1, bits);
    most = addField(sum, at, most, q, 2, bits);
    most = addField(sum, at, most, q, 3, bits);
    most = addField(sum, at, most, q, 4, bits);
    most = addField(sum, at, most, q, 5, bits);
    most = addField(sum, at, most, q, 6, bits);
    most = addField(sum, at, most, q, 7, bits);
    most = addField(sum, at, most, q, 8, bits);
    most = addField(sum, at, most, q, 9, bits);
    most = addField(sum, at, most, q, 10, bits);
    most = addField(sum, at, most, q, 11, bits);
    most = addField(sum, at, most, q, 12, bits);
    most = addField(sum, at, most, q, 13, bits);
    most = addField(sum, at, most, q, 14, bits);
    most = addField(sum, at, most, q, 15, bits);
    most = addField(sum, at, most, q, 16, bits);
    most = addField(sum, at, most, q, 17, bits);
    most = addField(sum, at, most, q, 18, bits);
    most = addField(sum, at, most, q, 19, bits);
    most = addField(sum, at, most, q, 20, bits);
    most = addField(sum, at, most, q, 21, bits);
    most = addField(sum, at, most, q, 22, bits);
    most = addField(sum, at, most, q, 23, bits);
    most = addField(sum, at, most, q, 24, bits);
    most = addField(sum, at, most, q, 25, bits);
    most = addField(sum, at, most, q, 26, bits);
    most = addField(sum, at, most, q, 27, bits);
    most = addField(sum, at, most, q, 28, bits);
    most = addField(sum, at, most, q, 29, bits);
    most = addField(sum, at, most, q, 30, bits);
    most = addField(sum, at, most, q, 31, bits);
  }
  return most;
}

/** Unpacks. @returns as above. */
// @ts-ignore: decorator
@inline
export function readGroups(out: usize, at: usize, groups: u32, bits: i32): v128 {
  let most = i32x4.splat(0);
  for (const end = out + 512 * <usize>groups; out < end; out += 512, at += 16 * <usize>bits) {
    most = readField(out, at, most, 0, bits);
    most = readField(out, at, most, 1, bits);
    most = readField(out, at, most, 2, bits);
    most = readField(out, at, most, 3, bits);
    most = readField(out, at, most, 4, bits);
    most = readField(out, at, most, 5, bits);
    most = readField(out, at, most, 6, bits);
    most = readField(out, at, most, 7, bits);
    most = readField(out, at, most, 8, bits);
    most = readField(out, at, most, 9, bits);
    most = readField(out, at, most, 10, bits);
    most = readField(out, at, most, 11, bits);
    most = readField(out, at, most, 12, bits);
    most = readField(out, at, most, 13, bits);
    most = readField(out, at, most, 14, bits);
    most = readField(out, at, most, 15, bits);
    most = readField(out, at, most, 16, bits);
    most = readField(out, at, most, 17, bits);
    most = readField(out, at, most, 18, bits);
    most = readField(out, at, most, 19, bits);
    most = readField(out, at, most, 20, bits);
    most = readField(out, at, most, 21, bits);
    most = readField(out, at, most, 22, bits);
    most = readField(out, at, most, 23, bits);
    most = readField(out, at, most, 24, bits);
    most = readField(out, at, most, 25, bits);
    most = readField(out, at, most, 26, bits);
    most = readField(out, at, most, 27, bits);
    most = readField(out, at, most, 28, bits);
    most = readField(out, at, most, 29, bits);
    most = readField(out, at, most, 30, bits);
    most = readField(out, at, most, 31, bits);
  }
  return most;
}

/** Packs canonical residues. */
// @ts-ignore: decorator
@inline
export function writeGroups(at: usize, x: usize, groups: u32, bits: i32): void {
  for (const end = x + 512 * <usize>groups; x < end; x += 512, at += 16 * <usize>bits) {
    let rest = i32x4.splat(0);
    rest = writeField(at, x, rest, 0, bits);
    rest = writeField(at, x, rest, 1, bits);
    rest = writeField(at, x, rest, 2, bits);
    rest = writeField(at, x, rest, 3, bits);
    rest = writeField(at, x, rest, 4, bits);
    rest = writeField(at, x, rest, 5, bits);
    rest = writeField(at, x, rest, 6, bits);
    rest = writeField(at, x, rest, 7, bits);
    rest = writeField(at, x, rest, 8, bits);
    rest = writeField(at, x, rest, 9, bits);
    rest = writeField(at, x, rest, 10, bits);
    rest = writeField(at, x, rest, 11, bits);
    rest = writeField(at, x, rest, 12, bits);
    rest = writeField(at, x, rest, 13, bits);
    rest = writeField(at, x, rest, 14, bits);
    rest = writeField(at, x, rest, 15, bits);
    rest = writeField(at, x, rest, 16, bits);
    rest = writeField(at, x, rest, 17, bits);
    rest = writeField(at, x, rest, 18, bits);
    rest = writeField(at, x, rest, 19, bits);
    rest = writeField(at, x, rest, 20, bits);
    rest = writeField(at, x, rest, 21, bits);
    rest = writeField(at, x, rest, 22, bits);
    rest = writeField(at, x, rest, 23, bits);
    rest = writeField(at, x, rest, 24, bits);
    rest = writeField(at, x, rest, 25, bits);
    rest = writeField(at, x, rest, 26, bits);
    rest = writeField(at, x, rest, 27, bits);
    rest = writeField(at, x, rest, 28, bits);
    rest = writeField(at, x, rest, 29, bits);
    rest = writeField(at, x, rest, 30, bits);
    rest = writeField(at, x, rest, 31, bits);
  }
}
