import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addSignatures, cosign, openCheckpoint, parseCheckpoint, signCheckpoint } from '../../crypto/checkpoint.ts';
import { concat, toHex, utf8 } from '../../crypto/encoding.ts';
import { HashTree } from '../../crypto/hash-tree.ts';
import {
  consistencyProof,
  emptyRoot,
  Frontier,
  inclusionProof,
  leafHash,
  nodeHash,
  verifyConsistency,
  verifyInclusion,
} from '../../crypto/merkle.ts';
import { formatVkey, makeSigner, parseVkey, type Signer } from '../../crypto/note.ts';
import { flatPolicy, formatPolicy, type Policy, parsePolicy, satisfies } from '../../crypto/policy.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import {
  bundleBytes,
  parseBundle,
  parseTilePath,
  tileBytes,
  tileFits,
  tileHashReader,
  tilePath,
  tilesOf,
} from '../../crypto/tiles.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { readLogFiles } from '../reference/log-files.ts';

/** MTH of RFC 6962 section 2.1, word for word: the slow model. */
function modelRoot(entries: readonly Uint8Array[]): Uint8Array {
  if (entries.length === 0) return emptyRoot(p);
  if (entries.length === 1) return leafHash(p, entries[0]!);
  let k = 1;
  while (k * 2 < entries.length) k *= 2;
  return nodeHash(p, modelRoot(entries.slice(0, k)), modelRoot(entries.slice(k)));
}

const entry = (i: number): Uint8Array => utf8(`entry ${i}`);
const entriesUpTo = (size: number): Uint8Array[] => Array.from({ length: size }, (_, i) => entry(i));
function treeOf(size: number): HashTree {
  const tree = new HashTree(p);
  for (let i = 0; i < size; i++) tree.append(leafHash(p, entry(i)));
  return tree;
}
const flip = (bytes: Uint8Array, at: number, bit: number): Uint8Array => {
  return bytes.map((byte, i) => (i === at ? byte ^ (1 << bit) : byte));
};
const signer = (type: 'ed25519' | 'cosignature', name: string, fill: number): Signer => {
  return makeSigner(p, type, name, new SecretBytes(name, new Uint8Array(32).fill(fill)));
};

describe('tree', () => {
  it('has the root of the model at every size, also after restoring a snapshot', () => {
    let frontier = new Frontier(p);
    const tree = treeOf(70);
    for (let size = 0; size <= 70; size++) {
      const root = modelRoot(entriesUpTo(size));
      expect(frontier.root()).toEqual(root);
      expect(tree.root(size)).toEqual(root);
      frontier = Frontier.restore(p, frontier.snapshot());
      expect(frontier.size).toBe(size);
      frontier.append(leafHash(p, entry(size)));
    }
    const snapshot = frontier.snapshot();
    for (const wrong of [snapshot.slice(1), concat(snapshot, Uint8Array.of(0)), flip(snapshot, 7, 0)]) {
      expect(() => Frontier.restore(p, wrong)).toThrow(expect.objectContaining({ code: 'BAD_ENCODING' }));
    }
  });

  it('proves every leaf in every tree up to 40, and nothing else', () => {
    const tree = treeOf(40);
    for (let size = 1; size <= 40; size++) {
      for (let index = 0; index < size; index++) {
        const proof = inclusionProof(p, tree.read, index, size);
        const claim = { index, size, leaf: leafHash(p, entry(index)), root: tree.root(size) };
        expect(verifyInclusion(p, claim, proof)).toBe(true);
        const other = { ...claim, index: (index + 1) % (size + 1) };
        expect(verifyInclusion(p, other, proof)).toBe(false);
        expect(verifyInclusion(p, { ...claim, leaf: leafHash(p, entry(index + 1)) }, proof)).toBe(false);
        expect(verifyInclusion(p, claim, [...proof, claim.leaf])).toBe(false);
        if (proof.length > 0) expect(verifyInclusion(p, claim, proof.slice(1))).toBe(false);
      }
    }
  });

  it('proves every earlier tree up to 40 a prefix, and refuses any changed proof', () => {
    const tree = treeOf(40);
    for (let to = 0; to <= 40; to++) {
      for (let from = 0; from <= to; from++) {
        const proof = consistencyProof(p, tree.read, from, to);
        const claim = { from, to, fromRoot: tree.root(from), toRoot: tree.root(to) };
        expect(verifyConsistency(p, claim, proof), `${from} ${to}`).toBe(true);
        expect(verifyConsistency(p, { ...claim, fromRoot: flip(claim.fromRoot, 3, 1) }, proof)).toBe(false);
        // The empty tree is a prefix of every tree: its claim says nothing about the later root.
        if (from > 0) expect(verifyConsistency(p, { ...claim, toRoot: flip(claim.toRoot, 3, 1) }, proof)).toBe(false);
        expect(verifyConsistency(p, claim, [...proof, claim.toRoot])).toBe(false);
        for (let i = 0; i < proof.length; i++) {
          const changed = proof.map((hash, j) => (i === j ? flip(hash, i % 32, 7) : hash));
          expect(verifyConsistency(p, claim, changed)).toBe(false);
        }
      }
    }
  });

  it('proves from tiles alone, at sizes around the tile boundaries', () => {
    const tree = treeOf(66_000);
    for (const size of [1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 66_000]) {
      const read = tileHashReader(p, size, (ref) => tileBytes(tree.read, ref));
      for (const index of [0, Math.floor(size / 2), size - 1]) {
        const proof = inclusionProof(p, read, index, size);
        expect(proof).toEqual(inclusionProof(p, tree.read, index, size));
      }
      const from = Math.ceil(size / 3);
      expect(consistencyProof(p, read, from, size)).toEqual(consistencyProof(p, tree.read, from, size));
    }
  });
});

describe('tiles', () => {
  it('lists the files that tlog-tiles lists for its examples', () => {
    const count = (size: number, prefix: string) =>
      [...tilesOf(size)].map(tilePath).filter((path) => path.startsWith(prefix));
    expect(count(256, 'tile/').sort()).toEqual(['tile/0/000', 'tile/1/000.p/1', 'tile/entries/000']);
    expect(count(70_000, 'tile/0/')).toHaveLength(274);
    expect(count(70_000, 'tile/0/').at(-1)).toBe('tile/0/273.p/112');
    expect(count(70_000, 'tile/1/')).toEqual(['tile/1/000', 'tile/1/001.p/17']);
    expect(count(70_000, 'tile/2/')).toEqual(['tile/2/000.p/1']);
    expect(count(0, 'tile/')).toEqual([]);
    expect(tilePath({ kind: 'hashes', level: 3, index: 1_234_067, width: 256 })).toBe('tile/3/x001/x234/067');
  });

  it('reads back each path it writes, and no other spelling', () => {
    const refs = fc.record({
      kind: fc.constantFrom('hashes' as const, 'entries' as const),
      level: fc.nat(63),
      index: fc.oneof(fc.nat(2000), fc.maxSafeNat()),
      width: fc.integer({ min: 1, max: 256 }),
    });
    fc.assert(
      fc.property(refs, (drawn) => {
        const ref = { ...drawn, level: drawn.kind === 'entries' ? 0 : drawn.level };
        expect(parseTilePath(tilePath(ref))).toEqual(ref);
      }),
    );
    const wrong = [
      'tile/00/000',
      'tile/0/0',
      'tile/0/0000',
      'tile/0/x000/001',
      'tile/0/001.p/0',
      'tile/0/001.p/256',
      'tile/0/001.p/01',
      'tile/64/000',
      'tile/0/000/',
      '/tile/0/000',
      'tile/0/../000',
      'tile/entries/x001/x234',
      'tile/0/000\n',
    ];
    for (const path of wrong) expect(parseTilePath(path), path).toBeUndefined();
  });

  it('bundles entries without loss and refuses other widths', () => {
    const entries = fc.array(fc.uint8Array({ maxLength: 600 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(entries, (list) => {
        const bundle = bundleBytes(list);
        expect(parseBundle(bundle, list.length).map(toHex)).toEqual(list.map(toHex));
        for (const width of [list.length - 1, list.length + 1]) expect(() => parseBundle(bundle, width)).toThrow();
      }),
    );
    expect(() => bundleBytes([new Uint8Array(65_536)])).toThrow(expect.objectContaining({ code: 'BAD_LENGTH' }));
    expect(parseBundle(bundleBytes([new Uint8Array(65_535)]), 1)[0]).toHaveLength(65_535);
  });

  it('finds a flip of every byte of every file, and every missing file', () => {
    const size = 262;
    const tree = treeOf(size);
    const files = new Map<string, Uint8Array>();
    for (const ref of tilesOf(size)) {
      const entries = entriesUpTo(size).slice(ref.index * 256, ref.index * 256 + ref.width);
      files.set(tilePath(ref), ref.kind === 'entries' ? bundleBytes(entries) : tileBytes(tree.read, ref));
    }
    const clean = readLogFiles(size, (path) => files.get(path));
    expect(clean).toMatchObject({ entries: entriesUpTo(size), root: tree.root(), findings: [] });
    for (const [path, bytes] of files) {
      const missing = readLogFiles(size, (asked) => (asked === path ? undefined : files.get(asked)));
      expect(missing.findings).toContainEqual({ path, reason: 'MISSING' });
      // Every byte of the partial files; of the two full ones each 101st (coprime to 32 and to the entries' lengths).
      for (let at = 0; at < bytes.length; at += bytes.length > 2000 ? 101 : 1) {
        const changed = flip(bytes, at, at % 8);
        const { findings } = readLogFiles(size, (asked) => (asked === path ? changed : files.get(asked)));
        expect(findings.length, `${path} byte ${at}`).toBeGreaterThan(0);
      }
    }
  });

  it('knows which tiles lie inside a tree', () => {
    for (const size of [1, 256, 300, 70_000]) {
      for (const ref of tilesOf(size)) {
        expect(tileFits(ref, size)).toBe(true);
        if (ref.width < 256) expect(tileFits({ ...ref, width: ref.width + 1 }, size)).toBe(false);
      }
    }
  });
});

describe('checkpoints', () => {
  const log = signer('ed25519', 'log.example/veilsum', 1);
  const witnesses = [2, 3, 4].map((fill) => signer('cosignature', `w${fill}.example`, fill));
  const policyFor = (threshold: number): Policy =>
    flatPolicy(
      p,
      [{ verifier: log.verifier, url: null }],
      witnesses.map(({ verifier }, i) => ({ name: `w${i}`, verifier, url: null })),
      threshold,
    );
  const signed = signCheckpoint(p, log, { origin: 'log.example/veilsum', size: 9, root: treeOf(9).root() });
  const lines = witnesses.map((witness, i) => cosign(p, witness, signed, 1_700_000_000 + i));
  const note = addSignatures(signed, lines);

  it('open under a policy, with times and quorum', () => {
    const opened = openCheckpoint(p, note, policyFor(2));
    expect(opened.checkpoint).toEqual({ origin: 'log.example/veilsum', size: 9, root: treeOf(9).root() });
    expect(opened.cosignatures.map(({ timestamp }) => timestamp)).toEqual([
      1_700_000_000, 1_700_000_001, 1_700_000_002,
    ]);
    expect(opened.quorum).toBe(true);
    expect(openCheckpoint(p, addSignatures(signed, lines.slice(0, 1)), policyFor(2)).quorum).toBe(false);
    expect(addSignatures(note, lines)).toEqual(note);
  });

  it('refuse every flip of every bit of every byte', () => {
    // A flip in a name makes a line of a stranger, which C2SP ignores: then the quorum of all three is missed.
    const policy = policyFor(3);
    for (let at = 0; at < note.length; at++) {
      for (let bit = 0; bit < 8; bit += at % 2 === 0 ? 1 : 7) {
        let accepted = false;
        try {
          accepted = openCheckpoint(p, flip(note, at, bit), policy).quorum;
        } catch (error) {
          expect(error).toMatchObject({ name: 'CryptoError' });
        }
        expect(accepted, `byte ${at} bit ${bit}`).toBe(false);
      }
    }
    expect(openCheckpoint(p, note, policy).quorum).toBe(true);
  });

  it('refuse other spellings of the same head', () => {
    const [origin, size, root] = ['log.example/veilsum', '9', 'A'.repeat(43)];
    expect(parseCheckpoint(`${origin}\n${size}\n${root}=\n`).size).toBe(9);
    const wrong = [
      `${origin}\n09\n${root}=\n`,
      `${origin}\n+9\n${root}=\n`,
      `${origin}\n0x9\n${root}=\n`,
      `${origin}\n\n${root}=\n`,
      `${origin}\n9007199254740992\n${root}=\n`,
      `${origin}\n9\n${root}\n`,
      `${origin}\n9\n${'A'.repeat(42)}B=\n`,
      `${origin}\n9\n${root}=\nextension\n`,
      `${origin}\n9\n${root}=`,
      `\n9\n${root}=\n`,
      `${origin}\n9 \n${root}=\n`,
    ];
    for (const text of wrong)
      expect(() => parseCheckpoint(text), text).toThrow(expect.objectContaining({ code: 'BAD_ENCODING' }));
  });

  it('are signed and cosigned by keys of the right type only', () => {
    const head = { origin: 'log.example/veilsum', size: 0, root: emptyRoot(p) };
    expect(() => signCheckpoint(p, witnesses[0]!, head)).toThrow(expect.objectContaining({ code: 'BAD_KEY' }));
    expect(() => cosign(p, log, signed, 1)).toThrow(expect.objectContaining({ code: 'BAD_KEY' }));
    expect(() => cosign(p, witnesses[0]!, signed, 0)).toThrow(expect.objectContaining({ code: 'BAD_VALUE' }));
    expect(parseVkey(p, formatVkey(log.verifier))).toEqual(log.verifier);
  });
});

describe('policies', () => {
  const key = (type: 'ed25519' | 'cosignature', i: number) => formatVkey(signer(type, `k${i}.example`, i).verifier);
  const parse = (text: string): Policy => parsePolicy(p, utf8(text));
  const head = `log ${key('ed25519', 9)} https://log.example/\n`;
  const xy = [1, 2, 3, 4, 5, 6].map((i) => `witness ${i < 4 ? 'X' : 'Y'}${i} ${key('cosignature', i)}\n`).join('');

  it('decide the nested example of tlog-policy like the model', () => {
    const policy = parse(
      `# comment\n\n${head}${xy}group X 2 X1 X2 X3\n \tgroup  Y any\tY4 Y5 Y6 \ngroup both all X Y\nquorum both\n`,
    );
    const names = ['X1', 'X2', 'X3', 'Y4', 'Y5', 'Y6'];
    for (let set = 0; set < 64; set++) {
      const chosen = names.filter((_, i) => (set >> i) & 1);
      const byHand = chosen.filter((n) => n[0] === 'X').length >= 2 && chosen.some((n) => n[0] === 'Y');
      expect(satisfies(policy, chosen)).toBe(byHand);
      // A group's own name, an unknown one or a repetition is no witness.
      expect(satisfies(policy, [...chosen, ...chosen, 'X', 'Y', 'both', 'Z'])).toBe(byHand);
    }
    expect(parsePolicy(p, formatPolicy(policy))).toEqual(policy);
  });

  it('ask for nobody where they say so', () => {
    expect(satisfies(parse('quorum none\n'), [])).toBe(true);
  });

  it('refuse what the format does not allow', () => {
    const wrong: Record<string, string> = {
      'no quorum': head,
      'two quorums': 'quorum none\nquorum none\n',
      'no newline at the end': 'quorum none',
      'carriage return': 'quorum none\r\n',
      'unknown line': 'quorum none\nmirror x\n',
      'undefined quorum': 'quorum q\n',
      'quorum before its witness': `quorum X1\n${xy}`,
      'a group of a later name': `${xy}group a any b\ngroup b any X1\nquorum a\n`,
      'a member twice': `${xy}group a 2 X1 X1\nquorum a\n`,
      'a member of two groups': `${xy}group a any X1\ngroup b any X1\nquorum b\n`,
      'none as a member': `${xy}group a any none\nquorum a\n`,
      'none defined': `witness none ${key('cosignature', 1)}\nquorum none\n`,
      'a name twice': `${xy}witness X1 ${key('cosignature', 7)}\nquorum X1\n`,
      'threshold zero': `${xy}group a 0 X1\nquorum a\n`,
      'threshold above n': `${xy}group a 2 X1\nquorum a\n`,
      'threshold with a zero before': `${xy}group a 01 X1\nquorum a\n`,
      'a group of nobody': `${xy}group a any\nquorum X1\n`,
      'a log key as a witness': `witness X ${key('ed25519', 1)}\nquorum X\n`,
      'a witness key as a log': `log ${key('cosignature', 1)}\nquorum none\n`,
      'one key, two logs': `${head}${head}quorum none\n`,
      'one key under two names': `${xy}witness Z ${formatVkey(signer('cosignature', 'other.example', 1).verifier)}\nquorum Z\n`,
      'too many words': 'quorum none none\n',
      'a damaged key': `${head.replace('+', '+0')}quorum none\n`,
    };
    for (const [name, text] of Object.entries(wrong)) {
      expect(() => parse(text), name).toThrow(expect.objectContaining({ code: 'BAD_ENCODING' }));
    }
  });
});
