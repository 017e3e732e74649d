import { AT_PRIME } from './tables';

/**
 * Uniform residues by rejection: each little-endian word cut to its low `bits` bits, those >= q skipped, until `wanted`
 * residues lie at `out` or the words end. The words are public, so a branch may depend on them.
 *
 * @param have - residues already there; the new ones follow. @param out - room for wanted + 4 words.
 * @returns residues there now, at most `wanted`.
 */
export function expandUniform(
  out: usize,
  have: u32,
  wanted: u32,
  source: usize,
  words: u32,
  bits: u32,
  tables: usize,
): u32 {
  const prime = load<u32>(tables, AT_PRIME);
  const mask: u32 = (<u32>1 << bits) - 1;
  const q = i32x4.splat(prime);
  const masks = i32x4.splat(mask);
  const end = source + 4 * <usize>words;
  const full = out + 4 * <usize>wanted;
  let p = out + 4 * <usize>have;
  while (p + 16 <= full && source + 16 <= end) {
    const x = v128.and(v128.load(source), masks);
    v128.store(p, x);
    if (!v128.any_true(i32x4.ge_u(x, q))) {
      p += 16;
    } else {
      for (let i: usize = 0; i < 16; i += 4) p = keep(p, load<u32>(source + i) & mask, prime);
    }
    source += 16;
  }
  for (; p < full && source < end; source += 4) p = keep(p, load<u32>(source) & mask, prime);
  return <u32>((p - out) >> 2);
}

// @ts-ignore: decorator
@inline
function keep(p: usize, x: u32, prime: u32): usize {
  store<u32>(p, x);
  return p + (x < prime ? 4 : 0);
}
