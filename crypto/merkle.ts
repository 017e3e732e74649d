import { bytesEqual, concat, u64be } from './encoding.ts';
import { CryptoError } from './errors.ts';
import type { Primitives } from './primitives.ts';

/** Bytes of every hash of the tree. */
export const HASH_BYTES = 32;
const LEAF_PREFIX = Uint8Array.of(0);
const NODE_PREFIX = Uint8Array.of(1);

/**
 * Hash of the complete subtree of 2^level leaves that starts at leaf `index * 2^level`. Level 0 is a leaf hash.
 * Asked only for subtrees that lie wholly inside the tree a proof is made for.
 */
export type HashReader = (level: number, index: number) => Uint8Array;

/** RFC 6962 section 2.1: SHA-256(0x00 || entry). */
export function leafHash(p: Primitives, entry: Uint8Array): Uint8Array {
  return p.sha256(LEAF_PREFIX, entry);
}

/** RFC 6962 section 2.1: SHA-256(0x01 || left || right). */
export function nodeHash(p: Primitives, left: Uint8Array, right: Uint8Array): Uint8Array {
  return p.sha256(NODE_PREFIX, left, right);
}

/** Root of the tree without leaves: SHA-256 of nothing. */
export function emptyRoot(p: Primitives): Uint8Array {
  return p.sha256(new Uint8Array(0));
}

// Sizes go up to 2^53, beyond the 32 bits of the shift operators: halving is a division.
const half = (n: number): number => Math.floor(n / 2);
const isOdd = (n: number): boolean => n % 2 === 1;

/** Largest power of two below n (n >= 2): where RFC 6962 splits a tree of n leaves. */
function splitPoint(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

function requireSize(size: number): void {
  if (!Number.isSafeInteger(size) || size < 0) throw new CryptoError('BAD_VALUE', 'a tree size is a safe integer');
}

/** Merkle tree hash of leaves [from, to); `from` is a multiple of the power of two that covers the range. */
function rangeHash(p: Primitives, read: HashReader, from: number, to: number): Uint8Array {
  const leaves = to - from;
  const k = leaves === 1 ? 1 : splitPoint(leaves);
  if (leaves === 1 || k * 2 === leaves) return read(Math.log2(leaves), from / leaves);
  return nodeHash(p, rangeHash(p, read, from, from + k), rangeHash(p, read, from + k, to));
}

/** Root of the first `size` leaves. @throws CryptoError BAD_VALUE unless size is a safe integer. */
export function rootOf(p: Primitives, read: HashReader, size: number): Uint8Array {
  requireSize(size);
  return size === 0 ? emptyRoot(p) : rangeHash(p, read, 0, size);
}

/**
 * The right edge of a growing tree: what is needed to append and to know the root, at most 53 hashes.
 *
 * Laws: after appending the leaf hashes of D, `root()` is MTH(D) of RFC 6962; `restore(snapshot())` continues alike.
 */
export class Frontier {
  readonly #p: Primitives;
  #size = 0;
  // Hashes of the complete subtrees that make up the tree, largest first: one per set bit of the size.
  #edge: Uint8Array[] = [];

  constructor(p: Primitives) {
    this.#p = p;
  }

  get size(): number {
    return this.#size;
  }

  /** @throws CryptoError BAD_LENGTH unless 32 bytes. */
  append(hash: Uint8Array): void {
    if (hash.length !== HASH_BYTES) throw new CryptoError('BAD_LENGTH', 'a leaf hash has 32 bytes');
    let node = hash;
    for (let n = this.#size; isOdd(n); n = half(n)) node = nodeHash(this.#p, this.#edge.pop()!, node);
    this.#edge.push(node);
    this.#size++;
  }

  root(): Uint8Array {
    if (this.#size === 0) return emptyRoot(this.#p);
    return this.#edge.reduceRight((right, left) => nodeHash(this.#p, left, right));
  }

  /** u64be size, then the edge, largest subtree first. */
  snapshot(): Uint8Array {
    return concat(u64be(this.#size), ...this.#edge);
  }

  /** @throws CryptoError BAD_ENCODING unless it is a snapshot: one hash per set bit, nothing trailing. */
  static restore(p: Primitives, snapshot: Uint8Array): Frontier {
    const bad = (): CryptoError => new CryptoError('BAD_ENCODING', 'not a frontier snapshot');
    if (snapshot.length < 8) throw bad();
    const wide = new DataView(snapshot.buffer, snapshot.byteOffset, 8).getBigUint64(0);
    if (wide > BigInt(Number.MAX_SAFE_INTEGER)) throw bad();
    const subtrees = wide.toString(2).replaceAll('0', '').length;
    if (snapshot.length !== 8 + HASH_BYTES * subtrees) throw bad();
    const frontier = new Frontier(p);
    frontier.#size = Number(wide);
    for (let at = 8; at < snapshot.length; at += HASH_BYTES) frontier.#edge.push(snapshot.slice(at, at + HASH_BYTES));
    return frontier;
  }
}

/**
 * PATH(index, D[size]) of RFC 6962 section 2.1.1, from the leaf upwards.
 *
 * @throws CryptoError BAD_VALUE unless 0 <= index < size.
 */
export function inclusionProof(p: Primitives, read: HashReader, index: number, size: number): Uint8Array[] {
  requireSize(size);
  if (!Number.isSafeInteger(index) || index < 0 || index >= size) {
    throw new CryptoError('BAD_VALUE', 'this leaf is not in a tree of this size');
  }
  const proof: Uint8Array[] = [];
  let [from, to] = [0, size];
  while (to - from > 1) {
    const middle = from + splitPoint(to - from);
    const left = index < middle;
    proof.push(left ? rangeHash(p, read, middle, to) : rangeHash(p, read, from, middle));
    [from, to] = left ? [from, middle] : [middle, to];
  }
  return proof.reverse();
}

/** What an inclusion proof is about. */
export interface InclusionClaim {
  readonly index: number;
  readonly size: number;
  readonly leaf: Uint8Array;
  readonly root: Uint8Array;
}

/** Verifies an audit path (RFC 9162 section 2.1.3.2). Never throws on a peer's input: false. */
export function verifyInclusion(p: Primitives, claim: InclusionClaim, proof: readonly Uint8Array[]): boolean {
  const { index, size, leaf, root } = claim;
  if (!Number.isSafeInteger(index) || !Number.isSafeInteger(size) || index < 0 || index >= size) return false;
  if (![leaf, root, ...proof].every((hash) => hash.length === HASH_BYTES)) return false;
  let [position, last, node] = [index, size - 1, leaf];
  for (const sibling of proof) {
    if (last === 0) return false;
    if (isOdd(position) || position === last) {
      node = nodeHash(p, sibling, node);
      // A right edge without siblings is carried up unchanged.
      while (!isOdd(position) && position !== 0) [position, last] = [half(position), half(last)];
    } else {
      node = nodeHash(p, node, sibling);
    }
    [position, last] = [half(position), half(last)];
  }
  return last === 0 && bytesEqual(node, root);
}

/**
 * PROOF(from, D[to]) of RFC 6962 section 2.1.2: that the first `from` leaves of the tree of `to` leaves are the earlier
 * tree. Empty where from is 0 or equals to.
 *
 * @throws CryptoError BAD_VALUE unless 0 <= from <= to.
 */
export function consistencyProof(p: Primitives, read: HashReader, from: number, to: number): Uint8Array[] {
  requireSize(from);
  requireSize(to);
  if (from > to) throw new CryptoError('BAD_VALUE', 'the earlier tree is the larger one');
  if (from === 0 || from === to) return [];
  const proof: Uint8Array[] = [];
  let [start, end] = [0, to];
  while (from !== end) {
    const middle = start + splitPoint(end - start);
    if (from <= middle) {
      proof.push(rangeHash(p, read, middle, end));
      end = middle;
    } else {
      proof.push(rangeHash(p, read, start, middle));
      start = middle;
    }
  }
  // The verifier knows the old root itself, so it is sent only where it is not the whole old tree.
  if (start !== 0) proof.push(rangeHash(p, read, start, end));
  return proof.reverse();
}

/** Two heads of one log, of which the first must be a prefix of the second. */
export interface ConsistencyClaim {
  readonly from: number;
  readonly to: number;
  readonly fromRoot: Uint8Array;
  readonly toRoot: Uint8Array;
}

/**
 * Verifies a consistency proof (RFC 9162 section 2.1.4.2). Never throws on a peer's input: false.
 *
 * RFC 9162 leaves from = 0 undefined. Here the empty tree is a prefix of every tree, if its root is the empty root and
 * the proof is empty: a verifier that starts from nothing needs no special case.
 */
export function verifyConsistency(p: Primitives, claim: ConsistencyClaim, proof: readonly Uint8Array[]): boolean {
  const { from, to, fromRoot, toRoot } = claim;
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || from > to) return false;
  if (![fromRoot, toRoot, ...proof].every((hash) => hash.length === HASH_BYTES)) return false;
  if (from === to && !bytesEqual(fromRoot, toRoot)) return false;
  if (from === 0 && !bytesEqual(fromRoot, emptyRoot(p))) return false;
  if (from === 0 || from === to) return proof.length === 0;

  let [position, last] = [from - 1, to - 1];
  while (isOdd(position)) [position, last] = [half(position), half(last)];
  const path = position === 0 ? [fromRoot, ...proof] : proof;
  const seed = path[0];
  if (seed === undefined) return false;
  let [oldNode, newNode] = [seed, seed];
  for (const sibling of path.slice(1)) {
    if (last === 0) return false;
    if (isOdd(position) || position === last) {
      oldNode = nodeHash(p, sibling, oldNode);
      newNode = nodeHash(p, sibling, newNode);
      while (!isOdd(position) && position !== 0) [position, last] = [half(position), half(last)];
    } else {
      newNode = nodeHash(p, newNode, sibling);
    }
    [position, last] = [half(position), half(last)];
  }
  return last === 0 && bytesEqual(oldNode, fromRoot) && bytesEqual(newNode, toRoot);
}
