import { CryptoError } from './errors.ts';
import { HASH_BYTES, type HashReader, nodeHash, rootOf } from './merkle.ts';
import type { Primitives } from './primitives.ts';

/** Hashes of one level, one after the other in a buffer that doubles. */
interface Level {
  bytes: Uint8Array;
  count: number;
}

/**
 * A whole Merkle tree in memory: every complete subtree's hash, 64 bytes per leaf. What proofs and tiles are read from.
 *
 * Laws: `root(n)` is MTH of the first n leaves for every n <= size, whatever was appended later.
 */
export class HashTree {
  readonly #p: Primitives;
  readonly #levels: Level[] = [];
  /** For proofs and tiles. @throws CryptoError BAD_VALUE for a subtree that is not complete. */
  readonly read: HashReader;

  constructor(p: Primitives) {
    this.#p = p;
    this.read = (level, index) => {
      const held = this.#levels[level];
      if (held === undefined || !Number.isInteger(index) || index < 0 || index >= held.count) {
        throw new CryptoError('BAD_VALUE', 'this subtree is not complete');
      }
      return held.bytes.slice(index * HASH_BYTES, (index + 1) * HASH_BYTES);
    };
  }

  get size(): number {
    return this.#levels[0]?.count ?? 0;
  }

  /** @throws CryptoError BAD_LENGTH unless 32 bytes. */
  append(leafHash: Uint8Array): void {
    if (leafHash.length !== HASH_BYTES) throw new CryptoError('BAD_LENGTH', 'a leaf hash has 32 bytes');
    let node = leafHash;
    for (let level = 0; ; level++) {
      const position = this.#push(level, node);
      if (position % 2 === 0) return;
      node = nodeHash(this.#p, this.read(level, position - 1), node);
    }
  }

  /** Root of the first `size` leaves, of all when left out. */
  root(size = this.size): Uint8Array {
    if (size > this.size) throw new CryptoError('BAD_VALUE', 'the tree is not that large');
    return rootOf(this.#p, this.read, size);
  }

  #push(level: number, hash: Uint8Array): number {
    this.#levels[level] ??= { bytes: new Uint8Array(16 * HASH_BYTES), count: 0 };
    const held = this.#levels[level];
    if (held.bytes.length === held.count * HASH_BYTES) {
      const grown = new Uint8Array(held.bytes.length * 2);
      grown.set(held.bytes);
      held.bytes = grown;
    }
    held.bytes.set(hash, held.count * HASH_BYTES);
    return held.count++;
  }
}
