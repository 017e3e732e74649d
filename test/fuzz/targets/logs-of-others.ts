import { cosign, signCheckpoint } from '../../../crypto/checkpoint.ts';
import { bytesEqual, concat, utf8 } from '../../../crypto/encoding.ts';
import { HashTree } from '../../../crypto/hash-tree.ts';
import { consistencyProof, inclusionProof, leafHash } from '../../../crypto/merkle.ts';
import { formatNote, formatSignatures, makeSigner, signText } from '../../../crypto/note.ts';
import { flatPolicy } from '../../../crypto/policy.ts';
import { SecretBytes } from '../../../crypto/secret.ts';
import { formatProof, parseProof, verifyProof } from '../../../crypto/tlog-proof.ts';
import { formatWitnessRequest, parseWitnessRequest } from '../../../crypto/witness-request.ts';
import { isRejection } from '../../../protocols/errors.ts';
import { checkHead, extendHead, newWitness, openHead } from '../../../protocols/witness.ts';
import { parseOutsideWitness } from '../../../src/keys/outside-witness.ts';
import { nodePrimitives as p } from '../../../src/platform/primitives-node.ts';
import { law, type Target } from '../target.ts';

const ORIGIN = 'fuzz.example/others';
const seed = (name: string): SecretBytes => new SecretBytes(name, p.sha256(utf8(name)));
const log = makeSigner(p, 'ed25519', ORIGIN, seed('others'));
const witness = makeSigner(p, 'cosignature', 'w.example', seed('w'));
const policy = flatPolicy(
  p,
  [{ verifier: log.verifier, url: null }],
  [{ name: 'w', verifier: witness.verifier, url: null }],
  1,
);

const tree = new HashTree(p);
const hashes = Array.from({ length: 300 }, (_, i) => leafHash(p, utf8(`entry ${i}`)));
for (const hash of hashes) tree.append(hash);
const head = (size: number): Uint8Array => signCheckpoint(p, log, { origin: ORIGIN, size, root: tree.root(size) });
const cosigned = (size: number): Uint8Array =>
  concat(head(size), utf8(formatSignatures([cosign(p, witness, head(size), 1_700_000_000)])));
const proofOf = (index: number, size: number, extra: Uint8Array | null = null): Uint8Array =>
  formatProof({ extra, index, hashes: inclusionProof(p, tree.read, index, size), checkpoint: cosigned(size) });
const requestFor = (oldSize: number, size: number): Uint8Array =>
  formatWitnessRequest({ oldSize, proof: consistencyProof(p, tree.read, oldSize, size), note: head(size) });
const extended = utf8(`${ORIGIN}\n9\n${Buffer.from(tree.root(9)).toString('base64')}\nan extension\n`);
const withExtension = formatNote({
  text: new TextDecoder().decode(extended),
  signatures: [signText(p, log, new TextDecoder().decode(extended), 0)],
});
const held = { size: 100, root: tree.root(100) };

/** Formats in which logs and witnesses of other people speak. */
export const logsOfOthers: readonly Target[] = [
  {
    name: 'tlog-proof',
    reads: 'proofs of a leaf, under a policy (C2SP tlog-proof)',
    form: 'text',
    seeds: () => [proofOf(0, 1), proofOf(17, 300), proofOf(255, 257, utf8('extra'))],
    words: ['c2sp.org/tlog-proof@v1\n', 'index ', 'extra ', '\n\n', '\u2014 '],
    refusals: { CryptoError: ['BAD_ENCODING', 'BAD_SIGNATURE', 'BAD_VALUE'] },
    run(input) {
      const proof = parseProof(input);
      law(bytesEqual(formatProof(proof), input), 'formatProof(parseProof(b)) = b');
      // Whatever verifies is a leaf of the tree, at its own place.
      const leaf = hashes[proof.index] ?? hashes[0]!;
      const { checkpoint } = verifyProof(p, proof, leaf, policy);
      law(bytesEqual(checkpoint.root, tree.root(checkpoint.size)), 'only heads that the log signed verify');
      law(proof.index < checkpoint.size, 'the leaf is within the tree');
      return true;
    },
  },
  {
    name: 'witness-request',
    reads: 'requests to a witness, up to what it would cosign (C2SP tlog-witness)',
    form: 'text',
    seeds: () => [
      requestFor(100, 300),
      requestFor(100, 100),
      formatWitnessRequest({ oldSize: 0, proof: [], note: withExtension }),
    ],
    words: ['old ', '\n\n', '\u2014 ', ORIGIN],
    refusals: { CryptoError: ['BAD_ENCODING'] },
    run(input) {
      const request = parseWitnessRequest(input);
      law(bytesEqual(formatWitnessRequest(request), input), 'a request re-encodes equal');
      const ours = checkHead(p, policy, held, request);
      const opened = openHead(p, [log.verifier], request.note);
      law(isRejection(ours) || !isRejection(opened), 'what members witness, a witness of any log opens');
      if (isRejection(opened)) return false;
      for (const state of [held, newWitness(p)]) {
        const next = extendHead(p, state, request, opened);
        if (isRejection(next)) continue;
        law(next.size >= state.size && bytesEqual(next.root, tree.root(next.size)), 'only the one history is followed');
        return true;
      }
      return false;
    },
  },
  {
    name: 'outside-witness',
    reads: 'outside witnesses as founders write them',
    form: 'text',
    seeds: () => [utf8(`stranger ${vkeyOf()} https://w.example/prefix`), utf8(`w ${vkeyOf()} http://[::1]:8090/`)],
    words: [' ', '\t', '+', 'https://'],
    refusals: { ConfigError: ['INVALID'] },
    run(input) {
      const { name, verifier, url } = parseOutsideWitness(p, new TextDecoder().decode(input));
      law(verifier.type === 'cosignature', 'the key is a witness’s');
      law(/^https?:/.test(new URL(url).href) && /^[a-z0-9-]+$/.test(name), 'name and URL are of their forms');
      return true;
    },
  },
];

function vkeyOf(): string {
  const { name, keyId, publicKey } = witness.verifier;
  const key = Buffer.from(concat(Uint8Array.of(4), publicKey)).toString('base64');
  return `${name}+${Buffer.from(keyId).toString('hex')}+${key}`;
}
