import { createHash } from 'node:crypto';
import { coordinatesOf, type TextFeature } from './schema.ts';

/**
 * Text as numbers, computed where the text lies: a hashing vectoriser (Weinberger, Dasgupta, Langford, Smola, Attenberg,
 * ICML 2009, arXiv 0902.2206). Every n-gram adds +1 or -1 to one of the feature's buckets; the row is then scaled to one
 * length. No vocabulary is built, so that nothing about anybody's texts has to be agreed on or released.
 *
 * bucket and sign of n-gram g of sort s: h = SHA-256(seed || 0x00 || s || 0x00 || g), all UTF-8; bucket = the first four
 * bytes, big-endian, modulo the number of buckets; sign = -1 where the fifth byte is odd. The seed is public, from the
 * schema: equal texts give equal rows at every node.
 */

/** Sorts of n-grams, as the hash names them: words `w1` to `w3`, characters `c2` to `c6`, the whole cell `t`. */
type Sort = string;

/** n-grams whose place is remembered: words repeat, and hashing each takes microseconds. */
const REMEMBERED_MAX = 1 << 17;

const WORD = /[\p{L}\p{N}\p{M}]+/gu;

/** n-grams of a text under a feature, repeated ones repeatedly. */
function gramsOf(feature: TextFeature, text: string): [Sort, string][] {
  const plain = text.normalize('NFKC').toLowerCase().trim();
  const words = plain.match(WORD) ?? [];
  const grams: [Sort, string][] = feature.whole && plain !== '' ? [['t', plain]] : [];
  for (const length of feature.words) {
    for (let at = 0; at + length <= words.length; at++) {
      grams.push([`w${length}`, words.slice(at, at + length).join(' ')]);
    }
  }
  // Of each word with its ends marked: neither blanks nor neighbours make an n-gram.
  const marked = feature.characters.length === 0 ? [] : words.map((word) => [...` ${word} `]);
  for (const length of feature.characters) {
    for (const word of marked) {
      for (let at = 0; at + length <= word.length; at++) {
        grams.push([`c${length}`, word.slice(at, at + length).join('')]);
      }
    }
  }
  return grams;
}

/** Where an n-gram goes, as bucket * 2 + (1 for minus). */
function placeOf({ seed, buckets }: TextFeature, sort: Sort, gram: string): number {
  const digest = createHash('sha256').update(`${seed}\0${sort}\0${gram}`).digest();
  return (digest.readUInt32BE(0) % buckets) * 2 + (digest[4]! & 1);
}

/** {@link placeOf} of the n-grams that come by, each hashed once. */
function rememberPlaces(feature: TextFeature): (sort: Sort, gram: string) => number {
  const places = new Map<string, number>();
  return (sort, gram) => {
    const name = `${sort} ${gram}`;
    const known = places.get(name);
    if (known !== undefined) return known;
    const place = placeOf(feature, sort, gram);
    if (places.size < REMEMBERED_MAX) places.set(name, place);
    return place;
  };
}

/**
 * Makes the encoder of a text feature: cell in, one number per coordinate out, of L2 norm `feature.length`; all zeros for
 * a cell without n-grams there, or whose n-grams cancel. Not yet on the grid of `features.ts`.
 */
export function textEncoder(feature: TextFeature): (cell: string) => Float64Array {
  const place = rememberPlaces(feature);
  const coordinates = coordinatesOf(feature);
  const positions = new Map(coordinates.map((bucket, position) => [bucket, position]));
  return (cell) => {
    const sums = new Float64Array(coordinates.length);
    for (const [sort, gram] of gramsOf(feature, cell)) {
      const at = place(sort, gram);
      const position = positions.get(at >> 1);
      if (position !== undefined) sums[position]! += at & 1 ? -1 : 1;
    }
    const norm = Math.sqrt(sums.reduce((square, value) => square + value * value, 0));
    return norm === 0 ? sums : sums.map((value) => (value * feature.length) / norm);
  };
}

/**
 * Makes what tells which buckets a cell is hashed into: the first `most` different ones, in the order of its n-grams. Signs
 * do not count: a bucket whose n-grams cancel is one that the cell has.
 */
export function textBuckets(feature: TextFeature, most: number): (cell: string) => readonly number[] {
  const place = rememberPlaces(feature);
  return (cell) => {
    const found = new Set<number>();
    for (const [sort, gram] of gramsOf(feature, cell)) {
      if (found.size === most) break;
      found.add(place(sort, gram) >> 1);
    }
    return [...found];
  };
}
