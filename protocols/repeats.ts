import { DigestSet } from './digest-set.ts';
import type { SeenSet } from './transcript.ts';

/** Bins by the first eight bits of a fingerprint. */
const BINS = 256;
/** Bytes of a bin that are kept before they are put aside. */
const BUFFER_BYTES = 2048;
/** More than any one leaf asks for: what is left over is of leaves that did not count. */
const MAX_ASKED = 4096;
/** After so many a log is read with sets of all values. */
const MOST_READINGS = 4;

/** Where fingerprints are put aside: on a disk, or in memory. */
export interface Bins {
  /** Adds a copy of the bytes to a bin, 0 to 255. */
  append(bin: number, bytes: Uint8Array): void;
  /** Everything in a bin, its pieces in any order. */
  read(bin: number): Uint8Array;
}

/** For an auditor without a disk. */
export function memoryBins(): Bins {
  const pieces = Array.from({ length: BINS }, (): Uint8Array[] => []);
  return {
    append: (bin, bytes) => void pieces[bin]!.push(bytes.slice()),
    read(bin) {
      const all = new Uint8Array(pieces[bin]!.reduce((length, piece) => length + piece.length, 0));
      let at = 0;
      for (const piece of pieces[bin]!) {
        all.set(piece, at);
        at += piece.length;
      }
      return all;
    },
  };
}

/** One reading of a log from its first leaf to its last: which values occur twice in it is known at its end. */
export interface Reading {
  /** @param name - values of one set are compared with each other only. */
  newSet(name: string): SeenSet;
  /**
   * Ends the reading. @returns whether every set always answered as a `Set<string>` would have. If not, the log must be
   * read again with the next reading, and what came of this one counts for nothing.
   */
  isExact(): boolean;
}

interface Buffer {
  readonly words: Uint32Array;
  count: number;
}

/**
 * Sets of what may not occur twice in a log, for who reads all of it: memory does not grow with the log. While a log is
 * read its sets say of every value that it is new, and a fingerprint of 64 bits of each goes into a bin. At the end the
 * bins are sorted one by one. No fingerprint twice: no value was there twice, and every answer was right. Otherwise the log is
 * read again, now with exact sets of the few values that have such a fingerprint. So an honest log is read once (values that
 * differ share a fingerprint with probability n^2 / 2^65), and no verdict rests on the fingerprints.
 *
 * @param salt - at least eight bytes that nobody could choose values for: the root over all of them.
 * @param newBins - empty ones, for each reading anew.
 * @returns one reading after the other, until one is exact: the second one, but for coincidences.
 */
export function* readings(salt: Uint8Array, newBins: () => Bins): Generator<Reading, never> {
  const suspects = new Set<string>();
  for (let times = 0; times < MOST_READINGS; times++)
    yield new OneReading(new DataView(salt.buffer, salt.byteOffset, salt.byteLength), newBins(), suspects);
  // Nobody is that unlucky: the bins are not what was put in.
  for (;;) yield { newSet: () => new DigestSet(), isExact: () => true };
}

class OneReading implements Reading {
  readonly #salt: DataView;
  readonly #bins: Bins;
  /** Fingerprints of which more than one value, or one twice, was seen in an earlier reading. */
  readonly #suspects: Set<string>;
  readonly #buffers = new Map<number, Buffer>();

  constructor(salt: DataView, bins: Bins, suspects: Set<string>) {
    this.#salt = salt;
    this.#bins = bins;
    this.#suspects = suspects;
  }

  newSet(name: string): SeenSet {
    const exact = new Set<string>();
    const [first, second] = fingerprint(name, this.#salt.getUint32(0), this.#salt.getUint32(4));
    const words = new Uint32Array(2);
    const isSuspect = (text: string): boolean => {
      if (this.#suspects.size === 0) return false;
      fingerprintInto(words, text, first, second);
      return this.#suspects.has(keyOf(words[0]!, words[1]!));
    };
    const note = (text: string): false => {
      fingerprintInto(words, text, first, second);
      this.#note(words[0]!, words[1]!);
      return false;
    };
    // Asked for and noted, and not added yet. Rules add what they asked for, in that order.
    let asked: string[] = [];
    let size = 0;
    return {
      get size() {
        return size;
      },
      // A question counts as an occurrence: a value that is asked for again, and then not added, was there twice as well.
      has(text) {
        if (isSuspect(text)) return exact.has(text);
        if (asked.length === MAX_ASKED) asked = [];
        asked.push(text);
        return note(text);
      },
      add(text) {
        size++;
        if (isSuspect(text)) exact.add(text);
        else if (asked[0] === text) asked.shift();
        else note(text);
      },
    };
  }

  #note(high: number, low: number): void {
    const bin = high >>> 24;
    let buffer = this.#buffers.get(bin);
    if (buffer === undefined) {
      buffer = { words: new Uint32Array(BUFFER_BYTES / 4), count: 0 };
      this.#buffers.set(bin, buffer);
    }
    buffer.words[buffer.count++] = high;
    buffer.words[buffer.count++] = low;
    if (buffer.count < buffer.words.length) return;
    this.#bins.append(bin, new Uint8Array(buffer.words.buffer));
    buffer.count = 0;
  }

  isExact(): boolean {
    const before = this.#suspects.size;
    for (const [bin, { words, count }] of this.#buffers) {
      this.#bins.append(bin, new Uint8Array(words.buffer, 0, count * 4));
      const sorted = new Uint8Array(this.#bins.read(bin)).buffer;
      // As numbers of 64 bits in this machine's order of bytes: equal ones come to stand together in any order.
      new BigUint64Array(sorted).sort();
      const pairs = new Uint32Array(sorted);
      for (let i = 2; i < pairs.length; i += 2) {
        if (pairs[i] === pairs[i - 2] && pairs[i + 1] === pairs[i - 1]) {
          this.#suspects.add(keyOf(pairs[i]!, pairs[i + 1]!));
        }
      }
    }
    this.#buffers.clear();
    return this.#suspects.size === before;
  }
}

function keyOf(high: number, low: number): string {
  return `${high}:${low}`;
}

function fingerprint(text: string, first: number, second: number): [number, number] {
  const words = new Uint32Array(2);
  fingerprintInto(words, text, first, second);
  return [words[0]!, words[1]!];
}

/**
 * Two lanes of 32 bits, FNV-1a (Fowler, Noll, Vo) and a rotated one with another multiplier, each finished as MurmurHash3
 * is (Appleby). No cryptography: a coincidence costs another reading.
 */
function fingerprintInto(words: Uint32Array, text: string, first: number, second: number): void {
  let [a, b] = [first, second];
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(((b << 5) | (b >>> 27)) ^ code, 0x9e3779b1);
  }
  words[0] = finish(a ^ text.length);
  words[1] = finish(b);
}

function finish(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
