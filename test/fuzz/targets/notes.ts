import {
  addSignatures,
  cosign,
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
  signCheckpoint,
} from '../../../crypto/checkpoint.ts';
import { bytesEqual, fromUtf8, utf8 } from '../../../crypto/encoding.ts';
import { HashTree } from '../../../crypto/hash-tree.ts';
import { consistencyProof, inclusionProof, leafHash } from '../../../crypto/merkle.ts';
import {
  formatNote,
  formatSignatures,
  formatVkey,
  makeSigner,
  makeVerifier,
  parseNote,
  parseSignatures,
  parseVkey,
} from '../../../crypto/note.ts';
import { flatPolicy, formatPolicy, parsePolicy, satisfies } from '../../../crypto/policy.ts';
import { SecretBytes } from '../../../crypto/secret.ts';
import { formatProof, parseProof, verifyProof } from '../../../crypto/tlog-proof.ts';
import { formatWitnessRequest, parseWitnessRequest } from '../../../crypto/witness-request.ts';
import { parseOutsideWitness } from '../../../src/keys/outside-witness.ts';
import { nodePrimitives as p } from '../../../src/platform/primitives-node.ts';
import { law, type Target } from '../target.ts';

const ORIGIN = 'fuzz.veilsum.example/log';
const BAD_ENCODING = { CryptoError: ['BAD_ENCODING'] };

const seed = (name: string): SecretBytes => new SecretBytes(name, p.sha256(utf8(name)));
const log = makeSigner(p, 'ed25519', ORIGIN, seed('log'));
const witnesses = ['w1', 'w2', 'w3'].map((name) => makeSigner(p, 'cosignature', `${name}.example`, seed(name)));
const policy = flatPolicy(
  p,
  [{ verifier: log.verifier, url: null }],
  witnesses.map(({ verifier }, i) => ({ name: `w${i + 1}`, verifier, url: `https://w${i + 1}.example/` })),
  2,
);
const head = (size: number): Uint8Array =>
  signCheckpoint(p, log, { origin: ORIGIN, size, root: p.sha256(utf8(String(size))) });
const cosigned = (size: number): Uint8Array => {
  const note = head(size);
  return addSignatures(
    note,
    witnesses.map((witness) => cosign(p, witness, note, 1_700_000_000)),
  );
};

const frontier = new HashTree(p);
for (let i = 0; i < 9; i++) frontier.append(leafHash(p, utf8(`entry ${i}`)));
const treeHead = signCheckpoint(p, log, { origin: ORIGIN, size: 9, root: frontier.root() });
const treeNote = addSignatures(
  treeHead,
  witnesses.map((witness) => cosign(p, witness, treeHead, 1_700_000_000)),
);

export const notes: readonly Target[] = [
  {
    name: 'witness-request',
    reads: 'requests to a witness (C2SP tlog-witness)',
    form: 'text',
    seeds: () => [
      formatWitnessRequest({ oldSize: 0, proof: [], note: head(1) }),
      formatWitnessRequest({ oldSize: 5, proof: consistencyProof(p, frontier.read, 5, 9), note: treeNote }),
    ],
    words: ['old ', '\n\n', '\u2014 '],
    refusals: BAD_ENCODING,
    run(input) {
      law(bytesEqual(formatWitnessRequest(parseWitnessRequest(input)), input), 'what is accepted re-encodes equal');
      return true;
    },
  },
  {
    name: 'tlog-proof',
    reads: 'proofs of a leaf (C2SP tlog-proof)',
    form: 'text',
    seeds: () =>
      [null, utf8('extra')].map((extra) =>
        formatProof({ extra, index: 4, hashes: inclusionProof(p, frontier.read, 4, 9), checkpoint: treeNote }),
      ),
    words: ['extra ', 'index ', '\n\n', '\u2014 '],
    refusals: { CryptoError: ['BAD_ENCODING', 'BAD_SIGNATURE', 'BAD_VALUE'] },
    run(input) {
      const proof = parseProof(input);
      law(bytesEqual(formatProof(proof), input), 'formatProof(parseProof(b)) = b');
      verifyProof(p, proof, frontier.read(0, 4), policy);
      law(proof.index === 4, 'a leaf is proven where it stands');
      return true;
    },
  },
  {
    name: 'outside-witness',
    reads: 'witnesses of other people, as a person types them',
    form: 'text',
    seeds: () => [utf8(`other ${formatVkey(witnesses[0]!.verifier)} https://w1.example/prefix`)],
    words: ['http://', 'https://', '[', ']', '@', ':', '%', '+', ' '],
    refusals: { ConfigError: ['INVALID'] },
    run(input) {
      const { name, organisation, verifier } = parseOutsideWitness(p, Buffer.from(input).toString('utf8'));
      law(/^[\x20-\x7e]+$/.test(name + organisation + verifier.name), 'names are printable');
      return true;
    },
  },
  {
    name: 'note',
    reads: 'signed notes (C2SP signed-note)',
    form: 'text',
    seeds: () => [head(0), cosigned(70_000), utf8('a\n\nb\n\n\u2014 name AAAAAAAA\n')],
    words: ['\u2014 ', '\n\n', '\n', ' '],
    refusals: BAD_ENCODING,
    run(input) {
      law(bytesEqual(formatNote(parseNote(input)), input), 'formatNote(parseNote(b)) = b');
      return true;
    },
  },
  {
    name: 'cosignatures',
    reads: 'signature lines that witnesses answer with',
    form: 'text',
    seeds: () => [utf8(formatSignatures(parseNote(cosigned(9)).signatures))],
    words: ['\u2014 ', '\n', ' '],
    refusals: BAD_ENCODING,
    run(input) {
      const text = fromUtf8(input);
      const lines = parseSignatures(text);
      law(formatSignatures(lines) === text, 'signature lines re-encode equal');
      const once = addSignatures(head(9), lines);
      law(bytesEqual(addSignatures(once, lines), once), 'adding the same lines twice adds nothing');
      return true;
    },
  },
  {
    name: 'checkpoint',
    reads: 'checkpoints (C2SP tlog-checkpoint)',
    form: 'text',
    seeds: () => [0, 1, 4_294_967_296, Number.MAX_SAFE_INTEGER].map((size) => utf8(parseNote(head(size)).text)),
    refusals: BAD_ENCODING,
    run(input) {
      const text = fromUtf8(input);
      law(formatCheckpoint(parseCheckpoint(text)) === text, 'formatCheckpoint(parseCheckpoint(t)) = t');
      return true;
    },
  },
  {
    name: 'signed-checkpoint',
    reads: 'checkpoints under a policy',
    form: 'text',
    seeds: () => [head(1), cosigned(1), cosigned(300)],
    words: ['\u2014 ', '\n\n', ORIGIN],
    refusals: { CryptoError: ['BAD_ENCODING', 'BAD_SIGNATURE'] },
    run(input) {
      const { text } = openCheckpoint(p, input, policy);
      const signed = [1, 300].map((size) => parseNote(head(size)).text);
      law(signed.includes(text), 'only what the log has signed opens');
      return true;
    },
  },
  {
    name: 'vkey',
    reads: 'verifier keys (C2SP)',
    form: 'text',
    seeds: () => [
      utf8(formatVkey(log.verifier)),
      utf8(formatVkey(witnesses[0]!.verifier)),
      utf8(formatVkey(makeVerifier(p, 'ed25519', '\u00fc', new Uint8Array(32)))),
    ],
    words: ['+'],
    refusals: { CryptoError: ['BAD_ENCODING', 'BAD_LENGTH'] },
    run(input) {
      const text = fromUtf8(input);
      law(formatVkey(parseVkey(p, text)) === text, 'formatVkey(parseVkey(t)) = t');
      return true;
    },
  },
  {
    name: 'policy',
    reads: 'policy files (C2SP tlog-policy)',
    form: 'text',
    seeds: () => [
      formatPolicy(policy),
      utf8('# none\n\nquorum none\n'),
      utf8(
        `witness a ${formatVkey(witnesses[0]!.verifier)}\nwitness b ${formatVkey(witnesses[1]!.verifier)}\ngroup g any a\ngroup h all g b\nquorum h\n`,
      ),
    ],
    words: ['log ', 'witness ', 'group ', 'quorum ', 'any', 'all', 'none', '\t', '#'],
    refusals: BAD_ENCODING,
    run(input) {
      const read = parsePolicy(p, input);
      const again = formatPolicy(parsePolicy(p, formatPolicy(read)));
      law(bytesEqual(again, formatPolicy(read)), 'parsePolicy(formatPolicy(q)) = q');
      satisfies(
        read,
        read.witnesses.map(({ name }) => name),
      );
      return true;
    },
  },
];
