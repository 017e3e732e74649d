import { signCheckpoint } from '../../../crypto/checkpoint.ts';
import { bytesEqual, utf8 } from '../../../crypto/encoding.ts';
import { HashTree } from '../../../crypto/hash-tree.ts';
import { consistencyProof, leafHash } from '../../../crypto/merkle.ts';
import { formatNote, makeSigner, signText } from '../../../crypto/note.ts';
import { flatPolicy } from '../../../crypto/policy.ts';
import { SecretBytes } from '../../../crypto/secret.ts';
import { formatWitnessRequest, parseWitnessRequest } from '../../../crypto/witness-request.ts';
import { isRejection } from '../../../protocols/errors.ts';
import { checkHead, extendHead, newWitness, openHead } from '../../../protocols/witness.ts';
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
for (let i = 0; i < 300; i++) tree.append(leafHash(p, utf8(`entry ${i}`)));
const head = (size: number): Uint8Array => signCheckpoint(p, log, { origin: ORIGIN, size, root: tree.root(size) });
const requestFor = (oldSize: number, size: number): Uint8Array =>
  formatWitnessRequest({ oldSize, proof: consistencyProof(p, tree.read, oldSize, size), note: head(size) });
const extended = `${ORIGIN}\n9\n${Buffer.from(tree.root(9)).toString('base64')}\nan extension\n`;
const withExtension = formatNote({ text: extended, signatures: [signText(p, log, extended, 0)] });
const held = { size: 100, root: tree.root(100) };

/** What a witness of other people's logs makes of requests. */
export const logsOfOthers: readonly Target[] = [
  {
    name: 'witnessed-head',
    reads: 'requests to a witness, up to what it would cosign',
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
];
