import { DOMAIN } from '../../../crypto/domain.ts';
import {
  bytesEqual,
  canonicalBytes,
  fromUtf8,
  type Json,
  parseCanonical,
  toBase64,
  utf8,
} from '../../../crypto/encoding.ts';
import { CryptoError } from '../../../crypto/errors.ts';
import { SecretBytes } from '../../../crypto/secret.ts';
import { sign } from '../../../crypto/signature.ts';
import { isRejection, type Rejection } from '../../../protocols/errors.ts';
import { parseVerifiedGenesis } from '../../../protocols/genesis.ts';
import { policyOf } from '../../../protocols/log-policy.ts';
import { recordField, roundIdOf } from '../../../protocols/record.ts';
import { judge, verifyNext } from '../../../protocols/rules.ts';
import { checkRound } from '../../../protocols/site-policy.ts';
import type { Transcript } from '../../../protocols/transcript.ts';
import { decodeLeaf, verifyLeaf } from '../../../protocols/verified.ts';
import { encodeParts } from '../../../src/party/parts.ts';
import { nodePrimitives as p } from '../../../src/platform/primitives-node.ts';
import { PaperLog } from '../../reference/paper-log.ts';
import { law, partsOf, type Target } from '../target.ts';

const golden = PaperLog.everyKind();
const shapes = golden.leaves.map((bytes) => JSON.parse(fromUtf8(bytes)) as { kind: string; actor: string });
/** The last leaf of each kind, by index. */
const samples = [...new Map(shapes.map(({ kind }, i) => [kind, i])).values()];
const unsignedLeaf = (i: number): Uint8Array => {
  const { sig, ...core } = JSON.parse(fromUtf8(golden.leaves[i]!));
  return canonicalBytes(core);
};

/** The state before each leaf, and after the last. Rules extend the state they are given, so each is read for itself. */
const before: Transcript[] = golden.leaves.map((_, i) => {
  const replay = new PaperLog();
  for (const bytes of golden.leaves.slice(1, Math.max(1, i))) replay.take(bytes);
  return replay.transcript;
});
before.push(golden.transcript);

const SIGNERS = ['root', 'coordinator', 'member-1', 'member-2', 'member-3', 'node-1', 'node-2', 'node-3', 'node-4'];
const seeds = new Map(
  [...SIGNERS, 'recipient-1'].map((name) => [name, new SecretBytes(name, p.sha256(utf8(`seed ${name}`)))]),
);

/** Signs canonical JSON as whoever it names; null where it is no canonical JSON or nobody we know. */
export function signAs(core: Uint8Array): Uint8Array | null {
  try {
    const leaf = JSON.parse(fromUtf8(core)) as { actor?: unknown; kind?: unknown; body?: unknown } | null;
    const signer = leaf?.kind === 'genesis' ? 'root' : leaf?.actor;
    const seed = typeof signer === 'string' ? seeds.get(signer) : undefined;
    if (leaf === null || Array.isArray(leaf) || seed === undefined) return null;
    const { v, kind, log, actor, time, body } = leaf as Record<string, Json>;
    const signed = canonicalBytes({ v, kind, log, actor, time, body } as Json);
    return canonicalBytes({ ...leaf, sig: toBase64(sign(p, seed, DOMAIN.leaf, signed)) } as Json);
  } catch (error) {
    if (error instanceof CryptoError || error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}

/** How much a state holds: a refusal must not change it. */
const weight = (t: Transcript): string =>
  [t.size, t.logId, t.parties.size, t.announces.size, t.rounds.size, t.roundOfClose.size, t.models.length].join();

export const leaves: readonly Target[] = [
  {
    name: 'leaf',
    reads: 'leaves: form',
    form: 'json',
    seeds: () => samples.map((i) => golden.leaves[i]!),
    refusals: {},
    run(input) {
      const leaf = decodeLeaf(input);
      if (isRejection(leaf)) return false;
      law(bytesEqual(canonicalBytes(leaf as unknown as Json), input), 'what is accepted re-encodes equal');
      return true;
    },
  },
  {
    name: 'signed-leaf',
    reads: 'leaves: signature',
    slowdown: 2,
    form: 'json',
    seeds: () => samples.map((i) => golden.leaves[i]!),
    refusals: {},
    run(input) {
      const known = golden.leaves.some((leaf) => bytesEqual(leaf, input));
      const { publicKey } = { publicKey: p.ed25519PublicKey(seeds.get('coordinator')!.bytes) };
      const verified = verifyLeaf(p, input, (leaf) => {
        const seed = seeds.get(leaf.kind === 'genesis' ? 'root' : leaf.actor);
        return seed === undefined ? publicKey : p.ed25519PublicKey(seed.bytes);
      });
      law(isRejection(verified) || known, 'only what was signed verifies');
      return !isRejection(verified);
    },
  },
  {
    name: 'rules',
    reads: 'leaves against the state they come to, signed by whom they name',
    slowdown: 5,
    form: ['bytes', 'json'],
    seeds: () => samples.map((i) => encodeParts([Uint8Array.of(i), unsignedLeaf(i)])),
    refusals: {},
    run(input) {
      const [position, core] = partsOf(input) ?? [];
      const state = before[position?.[0] ?? -1] ?? before.at(-1)!;
      if (core !== undefined && position?.[0] === 0) return acceptsGenesis(core);
      const bytes = core === undefined ? null : signAs(core);
      if (bytes === null) return false;
      const held = weight(state);
      const signed = verifyNext(p, state, bytes);
      if (isRejection(signed)) return named(signed);
      const patch = judge(p, state, signed);
      law(weight(state) === held, 'judging changes nothing');
      return isRejection(patch) ? named(patch) : true;
    },
  },
  {
    name: 'record',
    reads: 'round records',
    slowdown: 2,
    form: 'json',
    seeds: () => [canonicalBytes(golden.round.record as unknown as Json)],
    refusals: { CryptoError: ['BAD_ENCODING'] },
    run(input) {
      const parsed = recordField.safeParse(parseCanonical(input, 65_535));
      if (!parsed.success) return false;
      roundIdOf(p, parsed.data);
      const policy = golden.sitePolicy({
        minOrganisations: 1,
        largestSharePercent: 100,
        allowCheckSums: true,
        quorumChanges: 'accept',
      });
      return checkRound(policy, golden.transcript, parsed.data, 'node-1', 0) === null;
    },
  },
];

/** A first leaf, signed by the key it names, as a stranger's log would start. */
function acceptsGenesis(core: Uint8Array): boolean {
  const bytes = signAs(core);
  if (bytes === null) return false;
  const genesis = parseVerifiedGenesis(p, bytes);
  if (isRejection(genesis)) return named(genesis);
  policyOf(p, genesis);
  return true;
}

const named = ({ rejected, why }: Rejection): false => {
  law(
    /^[A-Z_]+$/.test(rejected) && /^[\x20-\x7e\u2019]*$/.test(why),
    `a refusal has a code and printable words: ${rejected} ${why}`,
  );
  return false;
};
