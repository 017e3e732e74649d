import { bytesEqual, fromUtf8, u64be, utf8 } from '../../../crypto/encoding.ts';
import { HashTree } from '../../../crypto/hash-tree.ts';
import {
  consistencyProof,
  Frontier,
  inclusionProof,
  leafHash,
  verifyConsistency,
  verifyInclusion,
} from '../../../crypto/merkle.ts';
import {
  bundleBytes,
  parseBundle,
  parseTilePath,
  tileBytes,
  tileHashReader,
  tilePath,
  tilesOf,
} from '../../../crypto/tiles.ts';
import { encodeParts } from '../../../src/party/parts.ts';
import { nodePrimitives as p } from '../../../src/platform/primitives-node.ts';
import { readLogFiles } from '../../reference/log-files.ts';
import { chanceOf } from '../random.ts';
import { law, partsOf, type Target } from '../target.ts';

const ENTRIES = Array.from({ length: 300 }, (_, i) => utf8(`entry ${i} ${'x'.repeat(i % 7)}`));
const tree = new HashTree(p);
for (const entry of ENTRIES) tree.append(leafHash(p, entry));

/** Files of the first `size` entries, by path. */
function filesOf(size: number): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const ref of tilesOf(size)) {
    const first = ref.index * 256;
    const bytes =
      ref.kind === 'entries' ? bundleBytes(ENTRIES.slice(first, first + ref.width)) : tileBytes(tree.read, ref);
    files.set(tilePath(ref), bytes);
  }
  return files;
}

const u64 = (bytes: Uint8Array | undefined): number => {
  const padded = new Uint8Array(8);
  padded.set((bytes ?? padded).subarray(0, 8));
  return Number(new DataView(padded.buffer).getBigUint64(0));
};

/** A proof and its claim as parts: index, size, leaf, root, hashes of the proof one after another. */
function inclusion(index: number, size: number): Uint8Array {
  const proof = inclusionProof(p, tree.read, index, size);
  return encodeParts([u64be(index), u64be(size), tree.read(0, index), tree.root(size), ...proof]);
}

function consistency(from: number, to: number): Uint8Array {
  const proof = consistencyProof(p, tree.read, from, to);
  return encodeParts([u64be(from), u64be(to), tree.root(from), tree.root(to), ...proof]);
}

export const trees: readonly Target[] = [
  {
    name: 'tile-path',
    reads: 'tile paths (C2SP tlog-tiles)',
    form: 'bytes',
    seeds: () => ['tile/0/000', 'tile/entries/x001/x234/067.p/9', 'tile/63/x999/999.p/255'].map(utf8),
    words: ['tile/', 'entries', 'x000/', '.p/', '/', '..', '256', '0'],
    refusals: { CryptoError: ['BAD_ENCODING'] },
    run(input) {
      const path = fromUtf8(input);
      const ref = parseTilePath(path);
      if (ref === undefined) return false;
      law(tilePath(ref) === path, 'a tile has one path');
      law(!/(^|\/)\.\.?(\/|$)|\\|\0/.test(path), 'no path leads elsewhere');
      return true;
    },
  },
  {
    name: 'bundle',
    reads: 'entry bundles',
    form: ['bytes', 'bytes'],
    seeds: () => [0, 1, 3].map((n) => encodeParts([Uint8Array.of(n), bundleBytes(ENTRIES.slice(0, n))])),
    refusals: { CryptoError: ['BAD_ENCODING'] },
    run(input) {
      const [width, bundle] = partsOf(input) ?? [];
      if (width === undefined || bundle === undefined) return false;
      const entries = parseBundle(bundle, width[0] ?? 0);
      law(bytesEqual(bundleBytes(entries), bundle), 'bundleBytes(parseBundle(b, n)) = b');
      return true;
    },
  },
  {
    name: 'frontier',
    reads: 'snapshots of a tree’s right edge',
    form: 'bytes',
    seeds: () =>
      [0, 1, 5, 255].map((size) => {
        const frontier = new Frontier(p);
        for (let i = 0; i < size; i++) frontier.append(tree.read(0, i));
        return frontier.snapshot();
      }),
    refusals: { CryptoError: ['BAD_ENCODING'] },
    run(input) {
      const frontier = Frontier.restore(p, input);
      law(bytesEqual(frontier.snapshot(), input), 'snapshot(restore(b)) = b');
      frontier.root();
      if (frontier.size < Number.MAX_SAFE_INTEGER) frontier.append(new Uint8Array(32));
      return true;
    },
  },
  {
    name: 'inclusion-proof',
    reads: 'inclusion proofs (RFC 9162)',
    form: ['bytes'],
    seeds: () => [inclusion(0, 1), inclusion(4, 7), inclusion(299, 300), inclusion(255, 257)],
    refusals: {},
    run(input) {
      const [index, size, leaf, root, ...proof] = partsOf(input) ?? [];
      if (leaf === undefined || root === undefined) return false;
      const claim = { index: u64(index), size: u64(size), leaf, root };
      if (!verifyInclusion(p, claim, proof)) return false;
      // Of a root that is ours, nothing but its own leaves can be proven.
      if (claim.size <= 300 && bytesEqual(root, tree.root(claim.size))) {
        law(bytesEqual(leaf, tree.read(0, claim.index)), 'only the leaf that is there verifies');
      }
      return true;
    },
  },
  {
    name: 'consistency-proof',
    reads: 'consistency proofs (RFC 9162)',
    form: ['bytes'],
    seeds: () => [consistency(0, 9), consistency(1, 2), consistency(6, 300), consistency(256, 300), consistency(8, 8)],
    refusals: {},
    run(input) {
      const [from, to, fromRoot, toRoot, ...proof] = partsOf(input) ?? [];
      if (fromRoot === undefined || toRoot === undefined) return false;
      const claim = { from: u64(from), to: u64(to), fromRoot, toRoot };
      if (!verifyConsistency(p, claim, proof)) return false;
      if (claim.to <= 300 && bytesEqual(toRoot, tree.root(claim.to))) {
        law(bytesEqual(fromRoot, tree.root(claim.from)), 'only a prefix of the tree is consistent with it');
      }
      return true;
    },
  },
  {
    name: 'tiles',
    reads: 'tiles of hashes, for proofs',
    slowdown: 10,
    form: ['choices', 'bytes'],
    seeds: () => [encodeParts([Uint8Array.of(0), new Uint8Array(0)]), encodeParts([Uint8Array.of(0, 9), utf8('x')])],
    refusals: { CryptoError: ['BAD_LENGTH'] },
    run(input) {
      const [choices = new Uint8Array(0), by = new Uint8Array(0)] = partsOf(input) ?? [];
      const chance = chanceOf(choices);
      const wrong = chance.below(4);
      const index = chance.below(300);
      let asked = 0;
      const read = tileHashReader(p, 300, (ref) => (asked++ === wrong - 1 ? by : tileBytes(tree.read, ref)));
      const proof = inclusionProof(p, read, index, 300);
      const claim = { index, size: 300, leaf: tree.read(0, index), root: tree.root(300) };
      return verifyInclusion(p, claim, proof);
    },
  },
  {
    name: 'log-files',
    reads: 'a log’s folder, file by file',
    slowdown: 2,
    // Which file, and its bytes instead; several times. The files that are not named are as they should be.
    form: ['choices', 'bytes'],
    seeds: () => [
      encodeParts([]),
      ...[...filesOf(20).values()].map((bytes, i) => encodeParts([Uint8Array.of(0, i), bytes])),
    ],
    refusals: {},
    run(input) {
      const files = filesOf(20);
      const parts = partsOf(input) ?? [];
      for (let i = 0; i + 1 < parts.length; i += 2) {
        const path = [...files.keys()][parts[i]![1] ?? 0];
        if (path !== undefined) files.set(path, parts[i + 1]!);
      }
      const honest = filesOf(20);
      const same = [...files].every(([path, bytes]) => bytesEqual(bytes, honest.get(path)!));
      const { findings, root } = readLogFiles(20, (path) => files.get(path));
      const clean = findings.length === 0 && bytesEqual(root, tree.root(20));
      law(clean === same, 'every change of a file is a finding or another root');
      return clean;
    },
  },
];
