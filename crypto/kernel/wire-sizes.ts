// The sizes of field that a prime 1 mod 2N below 2^30 can need: 16 (40961) to 30 bits. One function for each, because a
// shift by a constant costs one instruction and a shift by a variable four.
import { largestLane } from './pointwise';
import { addGroups, readGroups, writeGroups } from './wire';

function add16(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 16); }
function read16(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 16); }
function write16(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 16); }
function add17(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 17); }
function read17(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 17); }
function write17(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 17); }
function add18(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 18); }
function read18(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 18); }
function write18(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 18); }
function add19(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 19); }
function read19(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 19); }
function write19(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 19); }
function add20(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 20); }
function read20(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 20); }
function write20(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 20); }
function add21(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 21); }
function read21(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 21); }
function write21(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 21); }
function add22(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 22); }
function read22(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 22); }
function write22(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 22); }
function add23(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 23); }
function read23(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 23); }
function write23(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 23); }
function add24(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 24); }
function read24(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 24); }
function write24(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 24); }
function add25(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 25); }
function read25(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 25); }
function write25(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 25); }
function add26(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 26); }
function read26(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 26); }
function write26(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 26); }
function add27(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 27); }
function read27(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 27); }
function write27(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 27); }
function add28(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 28); }
function read28(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 28); }
function write28(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 28); }
function add29(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 29); }
function read29(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 29); }
function write29(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 29); }
function add30(sum: usize, at: usize, groups: u32, q: v128, mask: v128): v128 { return addGroups(sum, at, groups, q, mask, 30); }
function read30(out: usize, at: usize, groups: u32, mask: v128): v128 { return readGroups(out, at, groups, mask, 30); }
function write30(at: usize, x: usize, groups: u32): void { writeGroups(at, x, groups, 30); }

/**
 * Adds packed residues to canonical ones, mod q. @returns the largest packed residue; if it is not below q, the sum has
 * to be repaired with subtractVectors.
 */
export function addPacked(sum: usize, at: usize, groups: u32, prime: u32, bits: u32): u32 {
  const q = i32x4.splat(prime);
  const mask = i32x4.splat((1 << bits) - 1);
  let most = i32x4.splat(-1);
  switch (bits) {
    case 16: most = add16(sum, at, groups, q, mask); break;
    case 17: most = add17(sum, at, groups, q, mask); break;
    case 18: most = add18(sum, at, groups, q, mask); break;
    case 19: most = add19(sum, at, groups, q, mask); break;
    case 20: most = add20(sum, at, groups, q, mask); break;
    case 21: most = add21(sum, at, groups, q, mask); break;
    case 22: most = add22(sum, at, groups, q, mask); break;
    case 23: most = add23(sum, at, groups, q, mask); break;
    case 24: most = add24(sum, at, groups, q, mask); break;
    case 25: most = add25(sum, at, groups, q, mask); break;
    case 26: most = add26(sum, at, groups, q, mask); break;
    case 27: most = add27(sum, at, groups, q, mask); break;
    case 28: most = add28(sum, at, groups, q, mask); break;
    case 29: most = add29(sum, at, groups, q, mask); break;
    case 30: most = add30(sum, at, groups, q, mask); break;
  }
  return largestLane(most);
}

/** Unpacks. @returns the largest residue, which the caller compares with q. 2^32 - 1 for an unknown size. */
export function readPacked(out: usize, at: usize, groups: u32, bits: u32): u32 {
  const mask = i32x4.splat((1 << bits) - 1);
  let most = i32x4.splat(-1);
  switch (bits) {
    case 16: most = read16(out, at, groups, mask); break;
    case 17: most = read17(out, at, groups, mask); break;
    case 18: most = read18(out, at, groups, mask); break;
    case 19: most = read19(out, at, groups, mask); break;
    case 20: most = read20(out, at, groups, mask); break;
    case 21: most = read21(out, at, groups, mask); break;
    case 22: most = read22(out, at, groups, mask); break;
    case 23: most = read23(out, at, groups, mask); break;
    case 24: most = read24(out, at, groups, mask); break;
    case 25: most = read25(out, at, groups, mask); break;
    case 26: most = read26(out, at, groups, mask); break;
    case 27: most = read27(out, at, groups, mask); break;
    case 28: most = read28(out, at, groups, mask); break;
    case 29: most = read29(out, at, groups, mask); break;
    case 30: most = read30(out, at, groups, mask); break;
  }
  return largestLane(most);
}

/** Packs canonical residues. */
export function writePacked(at: usize, x: usize, groups: u32, bits: u32): void {
  switch (bits) {
    case 16: write16(at, x, groups); break;
    case 17: write17(at, x, groups); break;
    case 18: write18(at, x, groups); break;
    case 19: write19(at, x, groups); break;
    case 20: write20(at, x, groups); break;
    case 21: write21(at, x, groups); break;
    case 22: write22(at, x, groups); break;
    case 23: write23(at, x, groups); break;
    case 24: write24(at, x, groups); break;
    case 25: write25(at, x, groups); break;
    case 26: write26(at, x, groups); break;
    case 27: write27(at, x, groups); break;
    case 28: write28(at, x, groups); break;
    case 29: write29(at, x, groups); break;
    case 30: write30(at, x, groups); break;
  }
}
