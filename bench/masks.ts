import { utf8 } from '../crypto/encoding.ts';
import { pairwiseMask } from '../crypto/masks.ts';
import { deriveParameters } from '../crypto/params.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { noblePrimitives } from '../crypto/primitives-noble.ts';
import { SecretBytes, wipe } from '../crypto/secret.ts';
import { nodePrimitives } from '../src/platform/primitives-node.ts';
import { systemRng } from '../src/platform/rng.ts';
import type { BenchRow } from './row.ts';

const NODES = 128;
const REPEATS = 9;

/**
 * One node's mask of one attempt, per neighbour: X25519 with a key never seen before, HKDF, one AES-256-CTR call and
 * one addition of N words. N and M as derived for d = 1e8, the largest ring.
 */
export async function run(): Promise<BenchRow[]> {
  const request = { dimension: 1e8, bits: 16, nodesMax: NODES, minCohort: 10, minHonest: 5, members: 5, threshold: 3 };
  const { ringDegree, maskModulusBits } = deriveParameters(request);

  const perNeighbour = (p: Primitives): number => {
    const secrets = Array.from({ length: NODES }, () => new SecretBytes('one-time key', systemRng(32)));
    const cohort = secrets.map((secret, i) => ({
      identity: utf8(`node-${i}`),
      publicKey: nodePrimitives.x25519PublicKey(secret.bytes),
    }));
    const context = { closeHash: systemRng(32), bucket: 0, modelHash: systemRng(32) };
    const started = performance.now();
    const mask = pairwiseMask(p, secrets[0]!, cohort[0]!.identity, context, cohort, maskModulusBits, ringDegree);
    const ms = (performance.now() - started) / (NODES - 1);
    wipe(mask);
    for (const secret of secrets) secret.wipe();
    return ms;
  };

  perNeighbour(nodePrimitives);
  const runs = Array.from({ length: REPEATS }, () => perNeighbour(nodePrimitives)).sort((a, b) => a - b);
  const value = runs[Math.floor(REPEATS / 2)]!;
  const portable = perNeighbour(noblePrimitives);
  const baseline = `the same on @noble, ${portable.toFixed(2)} ms`;
  return [{ name: 'neighbour', value, unit: `ms (N=${ringDegree})`, baseline, ratio: portable / value }];
}
