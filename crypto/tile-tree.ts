import { bytesEqual } from './encoding.ts';
import { CryptoError } from './errors.ts';
import { HASH_BYTES, type HashReader, nodeHash, rootOf } from './merkle.ts';
import type { Primitives } from './primitives.ts';
import { TILE_HEIGHT, TILE_WIDTH } from './tiles.ts';

/** Full tiles kept for being asked again: 16 KiB each. */
const KEPT_TILES = 32;

/** One tile with the complete subtrees inside it: row k holds hashes of 2^k of its hashes each. */
interface Tile {
  readonly index: number;
  readonly rows: readonly Uint8Array[];
  /** Hashes in row 0. */
  width: number;
}

function newTile(index: number): Tile {
  const rows = Array.from({ length: TILE_HEIGHT + 1 }, (_, k) => new Uint8Array((TILE_WIDTH >> k) * HASH_BYTES));
  return { index, rows, width: 0 };
}

const hashAt = (row: Uint8Array, place: number): Uint8Array =>
  row.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES);

/** A full tile of hashes of the log, by level and index; undefined where there is none. */
type FullTileReader = (level: number, index: number) => Uint8Array | undefined;

/**
 * A Merkle tree that is written from left to right and asked about any of its past: as `HashTree`, but in memory that does
 * not grow. It holds the tiles of its right edge and a few others; older ones are read again from where they are published,
 * and believed only if they hash to what the tile above holds, which is believed for the same reason, up to the edge.
 *
 * Laws: `root(n)` is MTH of the first n leaves for every n <= size, or an error; never another hash.
 */
export class TileTree {
  readonly #p: Primitives;
  readonly #readTile: FullTileReader;
  /** The last tile of each level, not yet full. */
  readonly #edge: Tile[] = [];
  /** Full tiles, the ones used last at the end. */
  readonly #kept = new Map<string, Tile>();
  /** Full tiles that nobody else holds. */
  readonly #own = new Map<string, Tile>();
  #size = 0;
  /** Hashes of complete subtrees. @throws CryptoError BAD_VALUE: not complete, or its tile was not found as it was. */
  readonly read: HashReader;

  /** @param readTile - may give anything. */
  constructor(p: Primitives, readTile: FullTileReader) {
    this.#p = p;
    this.#readTile = readTile;
    this.read = (level, index) => {
      if (!Number.isSafeInteger(index) || index < 0) throw new CryptoError('BAD_VALUE', 'no such subtree');
      const k = level % TILE_HEIGHT;
      const perTile = TILE_WIDTH >> k;
      const tile = this.#tile((level - k) / TILE_HEIGHT, Math.floor(index / perTile));
      const place = index % perTile;
      if ((place + 1) * 2 ** k > tile.width) throw new CryptoError('BAD_VALUE', 'this subtree is not complete');
      return hashAt(tile.rows[k]!, place).slice();
    };
  }

  get size(): number {
    return this.#size;
  }

  /**
   * @param onTile - sees every tile that this fills: its level, index and bytes (valid during the call), and says whether
   *   `readTile` will give it again. What it will not is kept here for good.
   */
  append(leafHash: Uint8Array, onTile: (level: number, index: number, bytes: Uint8Array) => boolean): void {
    if (leafHash.length !== HASH_BYTES) throw new CryptoError('BAD_LENGTH', 'a leaf hash has 32 bytes');
    this.#size++;
    let node = leafHash;
    for (let level = 0; ; level++) {
      const tile = this.#edge[level] ?? newTile(0);
      this.#edge[level] = tile;
      this.#push(tile, node);
      if (tile.width < TILE_WIDTH) return;
      this.#edge[level] = newTile(tile.index + 1);
      if (onTile(level, tile.index, tile.rows[0]!)) this.#keep(level, tile);
      else this.#own.set(nameOf(level, tile.index), tile);
      node = hashAt(tile.rows[TILE_HEIGHT]!, 0);
    }
  }

  /** The hashes so far of the last tile of a level: `width` of them. */
  edge(level: number): { readonly index: number; readonly bytes: Uint8Array } | undefined {
    const tile = this.#edge[level];
    return tile && { index: tile.index, bytes: tile.rows[0]!.subarray(0, tile.width * HASH_BYTES) };
  }

  /** Root of the first `size` leaves, of all when left out. @throws CryptoError BAD_VALUE as `read`. */
  root(size = this.#size): Uint8Array {
    if (size > this.#size) throw new CryptoError('BAD_VALUE', 'the tree is not that large');
    return rootOf(this.#p, this.read, size);
  }

  #push(tile: Tile, hash: Uint8Array): void {
    let node = hash;
    let place = tile.width++;
    for (let k = 0; ; k++) {
      tile.rows[k]!.set(node, place * HASH_BYTES);
      if (place % 2 === 0 || k === TILE_HEIGHT) return;
      node = nodeHash(this.#p, hashAt(tile.rows[k]!, place - 1), node);
      place = (place - 1) / 2;
    }
  }

  #tile(level: number, index: number): Tile {
    const edge = this.#edge[level];
    if (edge?.index === index) return edge;
    const name = nameOf(level, index);
    const held = this.#own.get(name) ?? this.#kept.get(name);
    if (held === undefined) return this.#readAgain(level, index);
    // The ones used last go last.
    if (this.#kept.delete(name)) this.#kept.set(name, held);
    return held;
  }

  #readAgain(level: number, index: number): Tile {
    if (!(index < (this.#edge[level]?.index ?? 0))) throw new CryptoError('BAD_VALUE', 'this subtree is not complete');
    const expected = this.read((level + 1) * TILE_HEIGHT, index);
    const bytes = this.#readTile(level, index);
    if (bytes?.length !== TILE_WIDTH * HASH_BYTES) throw new CryptoError('BAD_VALUE', 'a tile is not there any more');
    const tile = newTile(index);
    for (let place = 0; place < TILE_WIDTH; place++) this.#push(tile, hashAt(bytes, place));
    if (!bytesEqual(hashAt(tile.rows[TILE_HEIGHT]!, 0), expected)) {
      throw new CryptoError('BAD_VALUE', 'a tile is not what it was');
    }
    this.#keep(level, tile);
    return tile;
  }

  #keep(level: number, tile: Tile): void {
    this.#kept.set(nameOf(level, tile.index), tile);
    if (this.#kept.size > KEPT_TILES) this.#kept.delete(this.#kept.keys().next().value!);
  }
}

function nameOf(level: number, index: number): string {
  return `${level}/${index}`;
}
