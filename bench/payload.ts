import initialize from 'node-seal/allows';
import { toBase64, toHex } from '../crypto/encoding.ts';
import { createKernelEngine } from '../crypto/engine-kernel.ts';
import { createSealEngine } from '../crypto/engine-seal.ts';
import { correctionBytes, deriveParameters, type RoundParameters, ringShape } from '../crypto/params.ts';
import { createEncryptor, createOpener, createSum, type PayloadContext } from '../crypto/payload.ts';
import { deriveQuantiser, quantise } from '../crypto/quantise.ts';
import { SecretBytes } from '../crypto/secret.ts';
import { boxBytes } from '../crypto/share-box.ts';
import { heldBy, subsets } from '../crypto/sharing.ts';
import { makeLeaf, NO_LOG } from '../protocols/verified.ts';
import { loadKernelModule } from '../src/platform/kernel.ts';
import { nodePrimitives } from '../src/platform/primitives-node.ts';
import { systemRng } from '../src/platform/rng.ts';
import type { BenchRow } from './row.ts';

const DIMENSION = 1_000_000;
const REPEATS = 25;
const BASELINE_REPEATS = 3;

/** A random update, and how a node makes integers of it: 16 bits with a noise of sigma 4, clipped to norm 1. */
const update = Float32Array.from({ length: DIMENSION }, () => (Math.random() - 0.5) * 2e-3);
const quantiser = deriveQuantiser({
  unit: 'node',
  dimension: DIMENSION,
  clip: 1,
  scale: 2 ** 14,
  variance: { sigma2Numerator: 16n, sigma2Denominator: 1n },
  recordsMax: 1,
});

interface Upload {
  readonly values: Int32Array;
  readonly key: Int16Array;
  readonly blocks: Uint8Array[];
}

/** What a node computes per upload, privacy noise left out: fresh key, quantising, hashing, errors, ring, packing. */
function makeUpload(context: PayloadContext): Upload {
  const values = quantise(quantiser, nodePrimitives, systemRng(32), update);
  using seed = new SecretBytes('seed', systemRng(32));
  using encryptor = createEncryptor(context, values, seed);
  const blocks = Array.from({ length: context.parameters.blocks }, (_, j) => encryptor.block(j));
  return { values, key: encryptor.key.slice(), blocks };
}

/** Both uploads added and decrypted by node-seal must be the sum of their integers. */
function checkUploads(context: PayloadContext, [one, two]: readonly [Upload, Upload]): void {
  using sum = createSum(context);
  for (const { blocks } of [one, two]) for (const [j, wire] of blocks.entries()) sum.add(j, wire);
  using opener = createOpener(
    context,
    Int32Array.from(one.key, (x, c) => x + two.key[c]!),
  );
  let at = 0;
  for (let j = 0; j < context.parameters.blocks; j++)
    for (const value of opener.block(j, sum.block(j))) {
      if (value !== one.values[at]! + two.values[at]!) throw new Error(`the sum is not exact at ${at}`);
      at++;
    }
}

/** node-seal's own way: public-key CKKS, N = 8192, primes of 60, 60 and 60 bits, all 4096 slots; encode, encrypt, save. */
async function publicKeyBaseline(): Promise<{ run: () => number; bytes: () => number }> {
  const seal = await initialize();
  const parameters = new seal.EncryptionParameters(seal.SchemeType.ckks);
  parameters.setPolyModulusDegree(8192);
  parameters.setCoeffModulus(seal.CoeffModulus.Create(8192, Int32Array.from([60, 60, 60])));
  const context = new seal.SEALContext(parameters, true, seal.SecLevelType.tc128);
  const generator = new seal.KeyGenerator(context);
  const encryptor = new seal.Encryptor(context, generator.createPublicKey());
  const encoder = new seal.CKKSEncoder(context);
  const plain = new seal.Plaintext();
  const cipher = new seal.Ciphertext();
  const vector = Float64Array.from(update);
  let bytes = 0;
  const run = (): number => {
    bytes = 0;
    const started = performance.now();
    for (let at = 0; at < DIMENSION; at += 4096) {
      encoder.encode(vector.subarray(at, at + 4096), 2 ** 40, plain);
      encryptor.encrypt(plain, cipher);
      bytes += (cipher.saveToArray(seal.ComprModeType.none) as Uint8Array).length;
    }
    return performance.now() - started;
  };
  return { run, bytes: () => bytes };
}

/** Bytes that a node sends besides the payload at 3-of-5, one attempt: both leaves, z_i, a box per holder. */
function constantBytes(parameters: RoundParameters): number {
  const { members, threshold, primes } = parameters;
  const sets = subsets(members, threshold);
  using secret = new SecretBytes('identity', systemRng(32));
  const signer = { name: 'node-eu-west-1', log: NO_LOG, secret };
  const hash = toHex(systemRng(32));
  const seen = { size: 2 ** 40, root: hash };
  const key = toBase64(nodePrimitives.x25519PublicKey(systemRng(32)));
  const time = 1_800_000_000_000;
  const upload = { round: hash, key, nonce: hash, payloadHash: hash, payloadBytes: parameters.payloadBytes, seen };
  const holders = [...Array.from({ length: members }, (_, i) => `member-eu-west-${i}`), 'recipient-eu-west-1'];
  const confirm = {
    close: hash,
    modelHash: hash,
    correctionHash: hash,
    boxes: holders.map((holder) => ({ holder, hash })),
    seeds: Array.from({ length: sets.length + 1 }, () => toBase64(systemRng(32))),
    checksum: Array.from({ length: 6 * primes.length }, (_, i) => primes[i % primes.length]! - 1),
  };
  const leaves = [
    makeLeaf(nodePrimitives, signer, 'upload', upload, time),
    makeLeaf(nodePrimitives, signer, 'confirm', confirm, time),
  ];
  const seeds = Array.from({ length: members }, (_, member) => heldBy(sets, member).length);
  const boxes = [...seeds, 1].reduce((sum, count) => sum + boxBytes(count), 0);
  return leaves.reduce((sum, leaf) => sum + leaf.length, 0) + correctionBytes(parameters) + boxes;
}

const median = (times: number[]): number => times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;

/** d = 1e6, 16 bits, at most 128 nodes, one core. */
export async function run(): Promise<BenchRow[]> {
  const request = { dimension: DIMENSION, bits: quantiser.bits, nodesMax: 128, minCohort: 10, minHonest: 5 };
  const parameters = deriveParameters({ ...request, members: 5, threshold: 3 });
  if (parameters.bits !== 16) throw new Error('this bench is about 16 bits');
  const kernel = await createKernelEngine(loadKernelModule(), ringShape(parameters));
  const context = { parameters, engine: kernel, recordHash: systemRng(32), primitives: nodePrimitives };
  const baseline = await publicKeyBaseline();

  const timed = (work: () => unknown): number => {
    const started = performance.now();
    work();
    return performance.now() - started;
  };
  for (let i = 0; i < 5; i++) makeUpload(context);
  baseline.run();
  const ours: number[] = [];
  const theirs: number[] = [];
  // In turns, so that whatever else the machine does meets both.
  for (let turn = 0; turn < BASELINE_REPEATS; turn++) {
    for (let i = 0; i < REPEATS; i++) ours.push(timed(() => makeUpload(context)));
    theirs.push(baseline.run());
  }
  const uploads = [makeUpload(context), makeUpload(context)] as const;
  checkUploads({ ...context, engine: await createSealEngine(ringShape(parameters)) }, uploads);

  using sum = createSum(context);
  for (const { blocks } of uploads) for (const [j, wire] of blocks.entries()) sum.add(j, wire);
  const sums = uploads[0].blocks.map((_, j) => sum.block(j));
  using opener = createOpener(
    context,
    Int32Array.from(uploads[0].key, (x, c) => x + uploads[1].key[c]!),
  );
  const opening = Array.from({ length: REPEATS }, () => timed(() => sums.map((wire, j) => opener.block(j, wire))));

  const [ms, baselineMs, openMs] = [median(ours), median(theirs), median(opening)];
  const constant = constantBytes(parameters);
  const sent = uploads[0].blocks.reduce((total, wire) => total + wire.length, 0) + constant;
  const ring = `N=${parameters.ringDegree}, ${parameters.primes.length} primes`;
  const perSecond = (milliseconds: number): number => Math.round((DIMENSION / milliseconds) * 1000);
  const theirBytes = baseline.bytes() / DIMENSION;
  return [
    {
      name: 'seal',
      value: perSecond(ms),
      unit: `parameters/s (${ring})`,
      baseline: `node-seal public-key CKKS, N=8192 [60,60,60]: ${perSecond(baselineMs)} parameters/s`,
      ratio: baselineMs / ms,
    },
    {
      name: 'wire',
      value: sent / DIMENSION,
      unit: 'bytes/parameter, everything a node uploads in the round',
      baseline: `the same ciphertexts of node-seal, saved uncompressed: ${theirBytes.toFixed(1)} bytes/parameter`,
      ratio: theirBytes / (sent / DIMENSION),
    },
    { name: 'constant', value: constant, unit: 'bytes besides the payload, 3-of-5', baseline: '', ratio: null },
    { name: 'open', value: perSecond(openMs), unit: `parameters/s (${ring})`, baseline: '', ratio: null },
  ];
}
