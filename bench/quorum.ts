import { DOMAIN } from '../crypto/domain.ts';
import { canonicalBytes, parseCanonical, toBase64, toHex, utf8 } from '../crypto/encoding.ts';
import { xwingKeyPair } from '../crypto/hpke.ts';
import { deriveParameters, type RoundParameters } from '../crypto/params.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { noblePrimitives } from '../crypto/primitives-noble.ts';
import { SecretBytes, wipe } from '../crypto/secret.ts';
import { boxBytes, openSeeds, sealAnswer, sealSeeds, shareSumHash } from '../crypto/share-box.ts';
import { deriveSeeds, heldBy, seedCommitment, shareSum, subsets } from '../crypto/sharing.ts';
import { sign, verify } from '../crypto/signature.ts';
import { nodePrimitives } from '../src/platform/primitives-node.ts';
import { systemRng } from '../src/platform/rng.ts';
import type { BenchRow } from './row.ts';

const MEMBERS = 5;
const THRESHOLD = 3;
const NODES = 100;
const MEMBER = 2;
const REPEATS = 7;

/** What reaches a member from one node: its confirm leaf, canonical and signed, and the box. */
interface Confirmation {
  readonly node: Uint8Array;
  readonly key: Uint8Array;
  readonly leaf: Uint8Array;
  readonly signature: Uint8Array;
  readonly commitments: readonly Uint8Array[];
  readonly box: Uint8Array;
}

interface Round {
  readonly roundKey: SecretBytes;
  readonly closeHash: Uint8Array;
  readonly recipientKey: Uint8Array;
  readonly confirmations: readonly Confirmation[];
}

const sets = subsets(MEMBERS, THRESHOLD);
const held = heldBy(sets, MEMBER);

/** A round's confirmations, all keys fresh. The fields that a member does not look into have their real lengths. */
function makeRound(parameters: RoundParameters): Round {
  const p = nodePrimitives;
  const roundKey = new SecretBytes('round key', systemRng(32));
  const { publicKey } = xwingKeyPair(p, roundKey);
  const closeHash = systemRng(32);
  const confirmations = Array.from({ length: NODES }, (_, i): Confirmation => {
    using identity = new SecretBytes('identity', systemRng(32));
    using fresh = new SecretBytes('fresh', systemRng(32));
    const node = utf8(`node-${i}`);
    const context = { closeHash, bucket: 0, node };
    using seeds = deriveSeeds(p, fresh, systemRng(32), context, sets);
    const commitments = [...seeds.ofSets, seeds.ofRecipients].map((seed, t) =>
      seedCommitment(p, context, sets[t] ?? [], seed),
    );
    const boxes = Array.from({ length: MEMBERS + 1 }, (__, h) => ({
      holder: `member-${h}`,
      hash: toHex(systemRng(32)),
    }));
    const body = {
      close: toHex(closeHash),
      modelHash: toHex(systemRng(32)),
      correctionHash: toHex(systemRng(32)),
      boxes,
      seeds: commitments.map((commitment) => toBase64(commitment)),
      checksum: Array.from({ length: 6 * parameters.primes.length }, (__, c) => parameters.primes[0]! - c),
    };
    const leaf = canonicalBytes({ v: 1, kind: 'confirm', actor: `node-${i}`, body });
    const sealed = held.map((t) => seeds.ofSets[t]!);
    return {
      node,
      key: p.ed25519PublicKey(identity.bytes),
      leaf,
      signature: sign(p, identity, DOMAIN.leaf, leaf),
      commitments,
      box: sealSeeds(p, systemRng, context, { role: 'member', index: MEMBER }, publicKey, sealed),
    };
  });
  using recipient = new SecretBytes('recipient key', systemRng(32));
  return { roundKey, closeHash, recipientKey: xwingKeyPair(p, recipient).publicKey, confirmations };
}

/** Everything one member computes for its answer. @returns milliseconds by step. */
function answer(p: Primitives, parameters: RoundParameters, round: Round): Record<string, number> {
  const { maskModulusBits, ringDegree } = parameters;
  const started = performance.now();
  for (const { key, leaf, signature } of round.confirmations) {
    parseCanonical(leaf, 65_535);
    if (!verify(p, key, DOMAIN.leaf, leaf, signature)) throw new Error('a signature did not verify');
  }
  const verified = performance.now();
  const seedsOf = round.confirmations.map(({ node, commitments, box }) => {
    const context = { closeHash: round.closeHash, bucket: 0, node };
    const expected = held.map((t) => ({ set: sets[t]!, commitment: commitments[t]! }));
    const opened = openSeeds(p, round.roundKey, context, { role: 'member', index: MEMBER }, expected, box);
    if ('rejected' in opened) throw new Error(opened.rejected);
    return opened.seeds;
  });
  const unsealed = performance.now();
  const sums = new Map(
    held.map((t, e) => [
      t,
      shareSum(
        p,
        seedsOf.map((seeds) => seeds[e]!),
        maskModulusBits,
        ringDegree,
      ),
    ]),
  );
  const added = performance.now();
  const decideHash = round.closeHash; // Any 32 bytes.
  for (const [t, sum] of sums) shareSumHash(p, decideHash, 0, sets[t]!, sum, maskModulusBits);
  const context = { decideHash, bucket: 0, member: MEMBER, recipient: 0 };
  sealAnswer(p, systemRng, context, round.recipientKey, sums, maskModulusBits);
  for (const sum of sums.values()) wipe(sum);
  for (const seed of seedsOf.flat()) seed.wipe();
  const ended = performance.now();
  return {
    verify: verified - started,
    unseal: unsealed - verified,
    add: added - unsealed,
    seal: ended - added,
    total: ended - started,
  };
}

/** The run with the median total. */
function median(runs: Record<string, number>[]): Record<string, number> {
  return runs.sort((a, b) => a['total']! - b['total']!)[Math.floor(runs.length / 2)]!;
}

/**
 * One member's computing for its answer, 3-of-5, 100 nodes: parsing and verifying 100 confirm leaves of keys never seen
 * before, opening 100 boxes, checking 600 seeds, expanding and adding them, hashing six K_T, sealing to a recipient. It
 * depends on N and M alone; no payload is made. Not in it: fetching, the log's round trips, durable writes.
 */
export async function run(): Promise<BenchRow[]> {
  const rows: BenchRow[] = [];
  for (const [name, dimension] of [
    ['answer-d1e4', 1e4],
    ['answer-d1e8', 1e8],
  ] as const) {
    const request = { dimension, bits: 16, nodesMax: 128, minCohort: 10, minHonest: 5 };
    const parameters = deriveParameters({ ...request, members: MEMBERS, threshold: THRESHOLD });
    const runs: Record<string, number>[] = [];
    for (let i = 0; i < REPEATS + 2; i++) {
      const round = makeRound(parameters);
      const ms = answer(nodePrimitives, parameters, round);
      if (i >= 2) runs.push(ms); // The first two warm the compiler; keys are fresh in every run.
    }
    const ms = median(runs);
    const portable = answer(noblePrimitives, parameters, makeRound(parameters))['total']!;
    const baseline = `the same on @noble, ${portable.toFixed(0)} ms`;
    rows.push({
      name,
      value: ms['total']!,
      unit: `ms (N=${parameters.ringDegree})`,
      baseline,
      ratio: portable / ms['total']!,
    });
    for (const step of ['verify', 'unseal', 'add', 'seal']) {
      rows.push({ name: `${name}-${step}`, value: ms[step]!, unit: 'ms', baseline: '', ratio: null });
    }
  }
  rows.push({ name: 'box', value: boxBytes(held.length), unit: 'bytes', baseline: '', ratio: null });
  return rows;
}
