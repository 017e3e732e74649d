import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { formatCheckpoint, openCheckpoint, parseCheckpoint } from '../../crypto/checkpoint.ts';
import { fromBase64, fromHex, toHex, utf8 } from '../../crypto/encoding.ts';
import { HashTree } from '../../crypto/hash-tree.ts';
import { emptyRoot, Frontier, leafHash, nodeHash, verifyConsistency, verifyInclusion } from '../../crypto/merkle.ts';
import { formatVkey, makeSigner, makeVerifier, openNote, parseNote, parseVkey, signText } from '../../crypto/note.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';

// RFC 6962 roots (reference CT tree), signed notes (golang/mod), subtree proofs (transparency-dev/merkle).
const folder = process.env['VEILSUM_VECTORS'] === undefined ? '' : join(process.env['VEILSUM_VECTORS'], 'tlog');
const present = folder !== '' && existsSync(folder);
if (!present) console.log('test/kat/log: 4 tests skipped, VEILSUM_VECTORS is not set');
const json = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8'));

interface ProofVector {
  kind: 'subtreeconsistency' | 'subtreeinclusion';
  desc: string;
  start: number;
  end: number;
  size: number;
  leafIdx: number;
  leafHash: string;
  root: string;
  root1: string;
  root2: string;
  proof: string[] | null;
  wantErr: boolean;
}

describe.skipIf(!present)('vectors of other implementations', () => {
  it('gives the published roots of RFC 6962 trees', () => {
    const { leaves_hex: leaves, roots_hex_by_size: roots, hasher } = json('rfc6962_roots.json');
    const frontier = new Frontier(p);
    const tree = new HashTree(p);
    expect(toHex(frontier.root())).toBe(roots[0]);
    for (const [i, leaf] of leaves.entries()) {
      const hash = leafHash(p, fromHex(leaf));
      frontier.append(hash);
      tree.append(hash);
      expect(toHex(frontier.root())).toBe(roots[i + 1]);
      expect(toHex(tree.root())).toBe(roots[i + 1]);
    }
    const hashed = [
      emptyRoot(p),
      leafHash(p, utf8('')),
      leafHash(p, utf8('L123456')),
      nodeHash(p, utf8('N123'), utf8('N456')),
    ];
    expect(hashed.map(toHex)).toEqual(hasher.map((entry: { want: string }) => entry.want));
  });

  it('agrees on every proof over a whole tree (start 0)', () => {
    const lines = gunzipSync(readFileSync(join(folder, 'merkle_subtree_proofs.jsonl.gz')))
      .toString()
      .trim()
      .split('\n');
    let checked = 0;
    for (const vector of lines.map((line) => JSON.parse(line) as ProofVector)) {
      if (vector.start !== 0) continue;
      const proof = (vector.proof ?? []).map((hash) => Uint8Array.from(Buffer.from(hash, 'base64')));
      const hash = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text ?? '', 'base64'));
      const holds =
        vector.kind === 'subtreeinclusion'
          ? verifyInclusion(
              p,
              { index: vector.leafIdx, size: vector.end, leaf: hash(vector.leafHash), root: hash(vector.root) },
              proof,
            )
          : verifyConsistency(
              p,
              { from: vector.end, to: vector.size, fromRoot: hash(vector.root1), toRoot: hash(vector.root2) },
              proof,
            );
      // Two vectors compare roots of 9 or 12 bytes; ours refuses any root that is not a SHA-256 hash.
      const roots = [vector.root, vector.root1, vector.root2].filter((root) => root !== undefined);
      const expected = !vector.wantErr && roots.every((root) => hash(root).length === 32);
      expect(holds, `${vector.kind} ${vector.end}/${vector.size} ${vector.desc}`).toBe(expected);
      checked++;
    }
    expect(checked).toBeGreaterThan(150);
  });

  it('opens and refuses notes as golang.org/x/mod/sumdb/note does', () => {
    const { vkeys, bad_vkeys: bad, open_tests: tests, skey, text, sigs } = json('signed_note.json');
    const verifier = (name: string) => parseVkey(p, vkeys[name]);
    for (const name of Object.keys(vkeys)) expect(formatVkey(verifier(name))).toBe(vkeys[name]);
    for (const vkey of bad) expect(() => parseVkey(p, vkey)).toThrow();
    for (const test of tests) {
      const bytes = test.msg_b64 === undefined ? utf8(test.msg) : fromBase64(test.msg_b64);
      const open = () => openNote(p, bytes, test.verifiers.map(verifier));
      if (!test.ok) {
        expect(open, test.name).toThrow(expect.objectContaining({ code: expect.stringMatching(/^BAD_/) }));
        continue;
      }
      const note = open();
      expect(note.verified.map((signature) => signature.verifier.name)).toEqual(test.verified);
      expect(note.unverified.map((line) => line.name)).toEqual(test.unverified);
    }
    using seed = new SecretBytes('seed', fromBase64(skey.split('+').slice(4).join('+'), 33).slice(1));
    const signer = makeSigner(p, 'ed25519', 'PeterNeumann', seed);
    expect(formatVkey(signer.verifier)).toBe(vkeys.PeterNeumann);
    const { keyId, signature } = signText(p, signer, text, 0);
    expect(Buffer.concat([keyId, signature]).toString('base64')).toBe(sigs.PeterNeumann);
  });

  it('reads and writes tree heads beyond 32 bits, and the cosigned example of C2SP', () => {
    const { tree_head: head, c2sp_cosignature_shape: shape } = json('signed_note.json');
    const parsed = parseCheckpoint(head.text);
    expect(parsed.size).toBe(head.n);
    expect(formatCheckpoint(parsed)).toBe(head.text);
    const note = parseNote(utf8(shape));
    expect(note.signatures.map(({ name }) => name)).toEqual(['example.com/behind-the-sofa', 'witness.example.com/w1']);
    expect(note.signatures[1]!.signature.length).toBe(72);
    expect(new DataView(note.signatures[1]!.signature.buffer).getBigUint64(0)).toBe(1_679_315_147n);
  });
});

describe('known answers that need no files', () => {
  // c2sp.org/tlog-tiles: sizes 256 and 70,000 are the examples of its text (see test/property/merkle.test.ts).
  it('computes key IDs over name, type and key', () => {
    const key = new Uint8Array(32).fill(7);
    const byHand = (type: number) => p.sha256(utf8('example.com/w'), Uint8Array.of(10, type), key).slice(0, 4);
    expect(makeVerifier(p, 'ed25519', 'example.com/w', key).keyId).toEqual(byHand(1));
    expect(makeVerifier(p, 'cosignature', 'example.com/w', key).keyId).toEqual(byHand(4));
  });

  it('refuses a note whose log key is not the origin it signs', () => {
    using seed = new SecretBytes('seed', new Uint8Array(32).fill(3));
    const signer = makeSigner(p, 'ed25519', 'one.example/log', seed);
    const text = formatCheckpoint({ origin: 'two.example/log', size: 0, root: emptyRoot(p) });
    const line = signText(p, signer, text, 0);
    const note = utf8(
      `${text}\n\u2014 ${line.name} ${Buffer.concat([line.keyId, line.signature]).toString('base64')}\n`,
    );
    const policy = { logs: [{ verifier: signer.verifier, url: null }], witnesses: [], groups: [], quorum: 'none' };
    expect(() => openCheckpoint(p, note, policy)).toThrow(expect.objectContaining({ code: 'BAD_SIGNATURE' }));
    // Control: the signature itself is genuine; only the origin rule refuses it.
    expect(openNote(p, note, [signer.verifier]).verified).toHaveLength(1);
  });
});
