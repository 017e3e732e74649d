import { concat, u16be } from './encoding.ts';
import { CryptoError } from './errors.ts';
import { HASH_BYTES, type HashReader, nodeHash } from './merkle.ts';
import type { Primitives } from './primitives.ts';

/** Hashes in a full tile, entries in a full bundle (C2SP tlog-tiles: subtrees of height 8). */
export const TILE_WIDTH = 256;
export const TILE_HEIGHT = 8;
/** Tree sizes are safe integers, so levels above 6 never occur; the format itself allows 63. */
const MAX_LEVEL = 63;
/** Longest entry a bundle can hold: its length is a big-endian u16. */
export const MAX_ENTRY_BYTES = 65_535;

/** One file of the log: a tile of hashes at a level, or a bundle of entries. Full where width is 256. */
export interface TileRef {
  readonly kind: 'hashes' | 'entries';
  /** 0 for bundles. */
  readonly level: number;
  readonly index: number;
  /** 1..256 hashes or entries. */
  readonly width: number;
}

/** 1234067 -> `x001/x234/067`. */
function formatIndex(index: number): string {
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/\d{3}/g)!;
  return groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/');
}

/** Path below the log's prefix, C2SP tlog-tiles: `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`. */
export function tilePath(ref: TileRef): string {
  const { kind, level, index, width } = ref;
  const fits =
    Number.isSafeInteger(index) && index >= 0 && Number.isInteger(width) && width >= 1 && width <= TILE_WIDTH;
  if (!fits || !Number.isInteger(level) || level < 0 || level > MAX_LEVEL || (kind === 'entries' && level !== 0)) {
    throw new CryptoError('BAD_VALUE', 'not a tile of any log');
  }
  return `tile/${kind === 'entries' ? 'entries' : level}/${formatIndex(index)}${width < TILE_WIDTH ? `.p/${width}` : ''}`;
}

/** Reads a path strictly: undefined for anything that `tilePath` would not write. */
export function parseTilePath(path: string): TileRef | undefined {
  const match = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  if (match === null) return undefined;
  const index = Number(match[2]!.replaceAll(/[x/]/g, ''));
  const width = match[3] === undefined ? TILE_WIDTH : Number(match[3]);
  const entries = match[1] === 'entries';
  const ref: TileRef = { kind: entries ? 'entries' : 'hashes', level: entries ? 0 : Number(match[1]), index, width };
  const possible = ref.level <= MAX_LEVEL && Number.isSafeInteger(index) && width >= 1 && width <= TILE_WIDTH;
  return possible && tilePath(ref) === path ? ref : undefined;
}

/** The tiles of one level of a tree, with the partial one last. Levels above the top are empty. */
function* tilesOfLevel(kind: TileRef['kind'], level: number, size: number): Generator<TileRef> {
  const hashes = Math.floor(size / TILE_WIDTH ** level);
  const full = Math.floor(hashes / TILE_WIDTH);
  for (let index = 0; index < full; index++) yield { kind, level, index, width: TILE_WIDTH };
  const rest = hashes % TILE_WIDTH;
  if (rest > 0) yield { kind, level, index: full, width: rest };
}

/** Every file that a log of `size` leaves consists of, besides its checkpoint: bundles, then tiles level by level. */
export function* tilesOf(size: number): Generator<TileRef> {
  yield* tilesOfLevel('entries', 0, size);
  for (let level = 0; TILE_WIDTH ** level <= size; level++) yield* tilesOfLevel('hashes', level, size);
}

/** True when every hash or entry of the tile lies inside a tree of `size` leaves. */
export function tileFits(ref: TileRef, size: number): boolean {
  return ref.level <= 6 && (ref.index * TILE_WIDTH + ref.width) * TILE_WIDTH ** ref.level <= size;
}

/** Bytes of a tile of hashes: `width` hashes of 32 bytes. */
export function tileBytes(read: HashReader, ref: TileRef): Uint8Array {
  const tile = new Uint8Array(ref.width * HASH_BYTES);
  for (let i = 0; i < ref.width; i++) {
    tile.set(read(ref.level * TILE_HEIGHT, ref.index * TILE_WIDTH + i), i * HASH_BYTES);
  }
  return tile;
}

/** Bytes of an entry bundle: each entry after its length as u16be. @throws CryptoError BAD_LENGTH above 65,535. */
export function bundleBytes(entries: readonly Uint8Array[]): Uint8Array {
  if (entries.some((entry) => entry.length > MAX_ENTRY_BYTES)) {
    throw new CryptoError('BAD_LENGTH', 'an entry of more than 65535 bytes does not fit a bundle');
  }
  return concat(...entries.flatMap((entry) => [u16be(entry.length), entry]));
}

/**
 * The entries of a bundle, as views of it. Law: `bundleBytes(parseBundle(b, n)) = b`.
 *
 * @param width - entries it must hold, exactly.
 * @throws CryptoError BAD_ENCODING when it holds fewer, more, or trailing bytes.
 */
export function parseBundle(bundle: Uint8Array, width: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (entries.length < width) {
    const start = at + 2;
    const end = start + ((bundle[at] ?? 0) << 8) + (bundle[at + 1] ?? 0);
    if (start > bundle.length || end > bundle.length) throw new CryptoError('BAD_ENCODING', 'truncated bundle');
    entries.push(bundle.subarray(start, end));
    at = end;
  }
  if (at !== bundle.length) throw new CryptoError('BAD_ENCODING', 'bytes after the last entry of a bundle');
  return entries;
}

/**
 * A hash reader over tiles, for proofs from a log's files alone. The tiles are not checked here: a proof made from wrong
 * tiles does not verify.
 *
 * @param size - leaves of the tree whose tiles are read; decides which of them are partial.
 * @param readTile - bytes of a tile of hashes.
 * @throws CryptoError BAD_LENGTH when a tile is not as long as its width says.
 */
export function tileHashReader(p: Primitives, size: number, readTile: (ref: TileRef) => Uint8Array): HashReader {
  return (level, index) => {
    const tileLevel = Math.floor(level / TILE_HEIGHT);
    const within = 2 ** (level - tileLevel * TILE_HEIGHT);
    const first = index * within;
    const tileIndex = Math.floor(first / TILE_WIDTH);
    const hashes = Math.floor(size / TILE_WIDTH ** tileLevel);
    const width = Math.min(TILE_WIDTH, hashes - tileIndex * TILE_WIDTH);
    const tile = readTile({ kind: 'hashes', level: tileLevel, index: tileIndex, width });
    if (tile.length !== width * HASH_BYTES) throw new CryptoError('BAD_LENGTH', 'a tile of another width');
    const start = first - tileIndex * TILE_WIDTH;
    let row: Uint8Array[] = Array.from({ length: within }, (_, i) => {
      return tile.slice((start + i) * HASH_BYTES, (start + i + 1) * HASH_BYTES);
    });
    while (row.length > 1) {
      row = Array.from({ length: row.length / 2 }, (_, i) => nodeHash(p, row[2 * i]!, row[2 * i + 1]!));
    }
    return row[0]!;
  };
}
