// Residues on the wire: groups of 128 in four lanes of `bits`-bit fields (SIMD-BP128: Lemire and Boytsov, SPE 2015), so
// that field i of all lanes is one vector and every shift is a constant. Each size of field is a function of its own,
// made by inlining the functions here with a constant `bits`; wire-sizes.ts lists them.
import { reduceOnce } from './modular';

/** Field i of four lanes: 32 - bits zero bits on top. @param mask - the lowest `bits` bits, in a register. */
// @ts-ignore: decorator
@inline
function field(at: usize, mask: v128, i: i32, bits: i32): v128 {
  const word = (i * bits) >> 5;
  const shift = (i * bits) & 31;
  let x = v128.load(at + 16 * word);
  if (shift > 0) x = i32x4.shr_u(x, shift);
  if (shift + bits > 32) x = v128.or(x, i32x4.shl(v128.load(at + 16 * (word + 1)), 32 - shift));
  return shift + bits === 32 ? x : v128.and(x, mask);
}

/** One field added to the running sum; returns the larger of it and `most`. */
// @ts-ignore: decorator
@inline
function addField(sum: usize, at: usize, most: v128, q: v128, mask: v128, i: i32, bits: i32): v128 {
  const x = field(at, mask, i, bits);
  v128.store(sum + 16 * i, reduceOnce(i32x4.add(v128.load(sum + 16 * i), x), q));
  return i32x4.max_u(most, x);
}

// @ts-ignore: decorator
@inline
function readField(out: usize, at: usize, most: v128, mask: v128, i: i32, bits: i32): v128 {
  const x = field(at, mask, i, bits);
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
 * all were in range; if not, the sum has to be repaired.
 */
// @ts-ignore: decorator
@inline
export function addGroups(sum: usize, at: usize, groups: u32, q: v128, mask: v128, bits: i32): v128 {
  let most = i32x4.splat(0);
  for (const end = sum + 512 * <usize>groups; sum < end; sum += 512, at += 16 * <usize>bits) {
    most = addField(sum, at, most, q, mask, 0, bits);
    most = addField(sum, at, most, q, mask, 1, bits);
    most = addField(sum, at, most, q, mask, 2, bits);
    most = addField(sum, at, most, q, mask, 3, bits);
    most = addField(sum, at, most, q, mask, 4, bits);
    most = addField(sum, at, most, q, mask, 5, bits);
    most = addField(sum, at, most, q, mask, 6, bits);
    most = addField(sum, at, most, q, mask, 7, bits);
    most = addField(sum, at, most, q, mask, 8, bits);
    most = addField(sum, at, most, q, mask, 9, bits);
    most = addField(sum, at, most, q, mask, 10, bits);
    most = addField(sum, at, most, q, mask, 11, bits);
    most = addField(sum, at, most, q, mask, 12, bits);
    most = addField(sum, at, most, q, mask, 13, bits);
    most = addField(sum, at, most, q, mask, 14, bits);
    most = addField(sum, at, most, q, mask, 15, bits);
    most = addField(sum, at, most, q, mask, 16, bits);
    most = addField(sum, at, most, q, mask, 17, bits);
    most = addField(sum, at, most, q, mask, 18, bits);
    most = addField(sum, at, most, q, mask, 19, bits);
    most = addField(sum, at, most, q, mask, 20, bits);
    most = addField(sum, at, most, q, mask, 21, bits);
    most = addField(sum, at, most, q, mask, 22, bits);
    most = addField(sum, at, most, q, mask, 23, bits);
    most = addField(sum, at, most, q, mask, 24, bits);
    most = addField(sum, at, most, q, mask, 25, bits);
    most = addField(sum, at, most, q, mask, 26, bits);
    most = addField(sum, at, most, q, mask, 27, bits);
    most = addField(sum, at, most, q, mask, 28, bits);
    most = addField(sum, at, most, q, mask, 29, bits);
    most = addField(sum, at, most, q, mask, 30, bits);
    most = addField(sum, at, most, q, mask, 31, bits);
  }
  return most;
}

/** Unpacks. @returns as above. */
// @ts-ignore: decorator
@inline
export function readGroups(out: usize, at: usize, groups: u32, mask: v128, bits: i32): v128 {
  let most = i32x4.splat(0);
  for (const end = out + 512 * <usize>groups; out < end; out += 512, at += 16 * <usize>bits) {
    most = readField(out, at, most, mask, 0, bits);
    most = readField(out, at, most, mask, 1, bits);
    most = readField(out, at, most, mask, 2, bits);
    most = readField(out, at, most, mask, 3, bits);
    most = readField(out, at, most, mask, 4, bits);
    most = readField(out, at, most, mask, 5, bits);
    most = readField(out, at, most, mask, 6, bits);
    most = readField(out, at, most, mask, 7, bits);
    most = readField(out, at, most, mask, 8, bits);
    most = readField(out, at, most, mask, 9, bits);
    most = readField(out, at, most, mask, 10, bits);
    most = readField(out, at, most, mask, 11, bits);
    most = readField(out, at, most, mask, 12, bits);
    most = readField(out, at, most, mask, 13, bits);
    most = readField(out, at, most, mask, 14, bits);
    most = readField(out, at, most, mask, 15, bits);
    most = readField(out, at, most, mask, 16, bits);
    most = readField(out, at, most, mask, 17, bits);
    most = readField(out, at, most, mask, 18, bits);
    most = readField(out, at, most, mask, 19, bits);
    most = readField(out, at, most, mask, 20, bits);
    most = readField(out, at, most, mask, 21, bits);
    most = readField(out, at, most, mask, 22, bits);
    most = readField(out, at, most, mask, 23, bits);
    most = readField(out, at, most, mask, 24, bits);
    most = readField(out, at, most, mask, 25, bits);
    most = readField(out, at, most, mask, 26, bits);
    most = readField(out, at, most, mask, 27, bits);
    most = readField(out, at, most, mask, 28, bits);
    most = readField(out, at, most, mask, 29, bits);
    most = readField(out, at, most, mask, 30, bits);
    most = readField(out, at, most, mask, 31, bits);
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
