import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toHex, utf8 } from '../../crypto/encoding.ts';
import { HashTree } from '../../crypto/hash-tree.ts';
import { LogWalk } from '../../crypto/log-files.ts';
import { leafHash } from '../../crypto/merkle.ts';
import { TileTree } from '../../crypto/tile-tree.ts';
import { bundleBytes, parseTilePath, tileBytes, tilePath, tilesOf } from '../../crypto/tiles.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';

/** More tiles than are kept in memory, and a full one of the next level. */
const SIZE = 80 * 256 + 77;
const entry = (i: number): Uint8Array => utf8(`entry ${i}`);
const whole = new HashTree(p);
for (let i = 0; i < SIZE; i++) whole.append(leafHash(p, entry(i)));

const tileAt = (level: number, index: number): Uint8Array =>
  tileBytes(whole.read, { kind: 'hashes', level, index, width: 256 });

function treeOf(
  size: number,
  read: (level: number, index: number) => Uint8Array | undefined,
  isThere = true,
): TileTree {
  const tree = new TileTree(p, read);
  for (let i = 0; i < size; i++) {
    tree.append(whole.read(0, i), (level, index, bytes) => {
      expect(toHex(bytes)).toBe(toHex(tileAt(level, index)));
      return isThere;
    });
  }
  return tree;
}

describe('a tree of which only the edge is kept', () => {
  it('has the roots of the whole tree at every size, from tiles that are read again', () => {
    let asked = 0;
    const tree = treeOf(SIZE, (level, index) => {
      asked++;
      return tileAt(level, index);
    });
    expect(asked).toBe(0);
    fc.assert(
      fc.property(fc.nat(SIZE), (size) => {
        expect(tree.root(size)).toEqual(whole.root(size));
      }),
      { numRuns: 300 },
    );
    expect(asked).toBeGreaterThan(40);
    for (const size of [0, 1, 255, 256, 257, 65_536 % SIZE, SIZE - 1, SIZE]) {
      expect(tree.root(size)).toEqual(whole.root(size));
    }
    expect(() => tree.root(SIZE + 1)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }));
    for (const [level, index] of [
      [0, SIZE],
      [8, 80],
      [3, Math.floor(SIZE / 8)],
      [40, 0],
      [0, -1],
    ] as const) {
      expect(() => tree.read(level, index)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }));
    }
  });

  it('believes no tile that is not what it was, and needs none that nobody else has', () => {
    const other = treeOf(SIZE, (level, index) => tileAt(level, (index + 1) % 80));
    const gone = treeOf(SIZE, () => undefined);
    for (const size of [700, 9000]) {
      expect(() => other.root(size)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }));
      expect(() => gone.root(size)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }));
    }
    const own = treeOf(SIZE, () => undefined, false);
    for (const size of [700, 9000]) expect(own.root(size)).toEqual(whole.root(size));
  });
});

describe('a log’s files', () => {
  it('are read in order; a tile that changes while the log is read is a finding, not another root', () => {
    const files = new Map<string, Uint8Array>();
    for (const ref of tilesOf(SIZE)) {
      const entries = Array.from({ length: ref.width }, (_, i) => entry(ref.index * 256 + i));
      files.set(tilePath(ref), ref.kind === 'entries' ? bundleBytes(entries) : tileBytes(whole.read, ref));
    }
    const asked: string[] = [];
    const walk = new LogWalk(p, SIZE, (path) => {
      asked.push(path);
      return files.get(path);
    });
    let leaves = 0;
    for (const { first, entries, hashes } of walk.bundles()) {
      expect([first, entries.length]).toEqual([leaves, hashes.length]);
      leaves += entries.length;
      expect(walk.rootAt(leaves)).toEqual(whole.root(leaves));
    }
    expect([leaves, walk.findings, walk.root]).toEqual([SIZE, [], whole.root()]);
    expect(new Set(asked)).toEqual(new Set(files.keys()));
    const entriesAsked = asked.filter((path) => parseTilePath(path)?.kind === 'entries');
    expect(entriesAsked).toHaveLength(81);
    const path = 'tile/0/003';
    files.set(path, files.get('tile/0/004')!);
    expect(walk.rootAt(3 * 256 + 5)).toBeNull();
    expect(walk.findings).toEqual([{ path, reason: 'MISMATCH' }]);
    expect(walk.rootAt(5 * 256 + 5)).toEqual(whole.root(5 * 256 + 5));
  });
});
