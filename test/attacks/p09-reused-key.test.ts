import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import { expandUniform, unpackBlock } from '../../crypto/packing.ts';
import { deriveParameters, type RoundParameters, ringShape } from '../../crypto/params.ts';
import { createEncryptor, type PayloadContext, publicStream } from '../../crypto/payload.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { recordHashOf } from '../../protocols/record.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { contextOf, gaussian, hashOf } from '../reference/engines.ts';
import { cohortOf, memorySetting, REQUEST, smallEngine, sumOf, updatesOf } from '../reference/memory-round.ts';
import { openWith, subtract } from '../reference/quorum-lab.ts';
import { modelOperations } from '../reference/ring-model.ts';

/**
 * Keys are homomorphic: whoever opens a sum knows K, the sum of its nodes' keys. Two sums over sets that differ by one
 * node then give that node's key, unless every round has keys of its own.
 */

/** Planted: nodes whose one-time key is the same in every round, and the K that recipients recovered. */
const planted = vi.hoisted(() => ({ keys: null as Map<string, Int16Array> | null, recovered: [] as Int32Array[] }));
vi.mock('../../crypto/payload.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/payload.ts')>();
  const createEncryptor: typeof original.createEncryptor = (context, values, seed) => {
    const made = original.createEncryptor(context, values, seed);
    // The first value names the node: see namedUpdates.
    const node = `node-${values[0]}`;
    if (planted.keys === null) return made;
    const key = planted.keys.get(node) ?? made.key.slice();
    planted.keys.set(node, key);
    made.key.set(key);
    const sealer = context.engine.sealer(key);
    const length = context.parameters.lastBlockCoefficients;
    const error = () => gaussian(`${node} ${[...context.recordHash].join()}`);
    return { ...made, block: (j) => sealer.seal(values, length, original.publicStream(context, j), error()) };
  };
  return { ...original, createEncryptor };
});
vi.mock('../../crypto/sharing.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/sharing.ts')>();
  const recoverKey: typeof original.recoverKey = (...args) => {
    const key = original.recoverKey(...args);
    planted.recovered.push(key.slice());
    return key;
  };
  return { ...original, recoverKey };
});

let engine: RingEngine;
beforeAll(async () => {
  engine = await smallEngine();
});
afterEach(() => {
  planted.keys = null;
  planted.recovered.length = 0;
});

function namedUpdates(names: readonly string[]): Map<string, Int32Array> {
  const updates = updatesOf(names);
  for (const [name, values] of updates) values[0] = Number(name.slice(5));
  return updates;
}

/** Two rounds, the second one without node-4; then what the two recovered keys say of node-4's first upload. */
function twoRounds() {
  const federation = new MemoryFederation(memorySetting(engine));
  const updates = namedUpdates(federation.nodeNames);
  const first = federation.runRound(1, updates);
  expect(federation.openings.get(first.id)!.values).toEqual(sumOf(updates, cohortOf(first)));
  federation.nextModel(first);
  federation.vanished.set('node-4', 'upload');
  const second = federation.runRound(2, updates);
  expect(cohortOf(second)).toEqual(['node-1', 'node-2', 'node-3']);
  const [k1, k2] = planted.recovered as [Int32Array, Int32Array];
  const payload = federation.blobs.get(first.uploads.get('node-4')!.body.payloadHash)!;
  const context: PayloadContext = {
    ...federation.context(first.record, 'attacker'),
    recordHash: recordHashOf(federation.setting.primitives, first.record),
  };
  return { victim: updates.get('node-4')!, opened: openWith(context, subtract(k1, k2), [payload]) };
}

describe('P9: no key outlives its round', () => {
  it('two opened rounds whose sets differ by one node say nothing of it: every key is of its round', () => {
    expect(twoRounds().opened).toBeNull();
  });

  it('control: nodes that use their key again are broken, exactly, by two opened rounds', () => {
    planted.keys = new Map();
    const { victim, opened } = twoRounds();
    expect(opened).toEqual(victim);
  });
});

describe('P9: one node alone that reuses its key, others fresh', () => {
  const ROUNDS = 6000;
  let context: PayloadContext;
  let parameters: RoundParameters;
  const sample = (name: string): Int16Array => {
    const key = new Int16Array(parameters.ringDegree);
    engine.sampleGaussian(gaussian(name), key);
    return key;
  };

  beforeAll(() => {
    parameters = deriveParameters({ ...REQUEST, members: 3, threshold: 2 });
    context = contextOf(parameters, engine);
  });

  /** The mean of many opened K, each the victim's key plus one fresh one, rounded. */
  function meanKey(victimKey: (round: number) => Int16Array): Int32Array {
    const total = new Int32Array(parameters.ringDegree);
    for (let round = 0; round < ROUNDS; round++) {
      const fresh = sample(`fresh ${round}`);
      const own = victimKey(round);
      for (let c = 0; c < total.length; c++) total[c]! += own[c]! + fresh[c]!;
    }
    return total.map((x) => Math.round(x / ROUNDS));
  }

  it('is told by averaging the opened sums; a key per round averages to nothing', () => {
    const values = namedUpdates(['node-1']).get('node-1')!;
    using seed = new SecretBytes('seed', systemRng(32));
    using encryptor = createEncryptor(context, values, seed);
    const payload = [encryptor.block(0)];
    const { key } = encryptor;
    // 6.4 / sqrt(6000) = 0.083: a coefficient is rounded wrongly with probability 2 * 10^-9.
    expect(
      openWith(
        context,
        meanKey(() => key),
        payload,
      ),
    ).toEqual(values); // control
    const fresh = meanKey((round) => (round === 0 ? key : sample(`own ${round}`)));
    expect(openWith(context, fresh, payload)).toBeNull();
    expect(fresh.every((x) => Math.abs(x) <= 1)).toBe(true);
  });
});

describe('P9: what an opened sum tells of one node’s key and error', () => {
  /** exp(-x^2 / sigma^2): given K, a key of two is Gaussian around K/2 with variance sigma^2 / 2 = 20.48. */
  const weight = (x: number): number => Math.exp((-x * x) / 40.96);

  /** Pearson's statistic of k - K/2 against the stated conditional law, over cells of at least 20 expected, by K's parity. */
  function conditionalChiSquare(spoil: number): { statistic: number; cells: number; variance: number } {
    const seen = [new Map<number, number>(), new Map<number, number>()];
    const counts = [0, 0];
    let squares = 0;
    for (let pair = 0; pair < 100; pair++) {
      const [own, other] = ['own', 'other'].map((who) => {
        const out = new Int16Array(4096);
        engine.sampleGaussian(gaussian(`${who} ${pair}`), out);
        return out;
      });
      for (let c = 0; c < 4096; c++) {
        const x = (own![c]! * (1 + spoil) - other![c]!) / 2;
        const parity = Math.abs(own![c]! + other![c]!) % 2;
        const rounded = Math.round(2 * x) / 2;
        seen[parity]!.set(rounded, (seen[parity]!.get(rounded) ?? 0) + 1);
        counts[parity]!++;
        squares += x * x;
      }
    }
    let statistic = 0;
    let cells = 0;
    for (const parity of [0, 1]) {
      const points = Array.from({ length: 120 }, (_, i) => i - 60 + parity / 2);
      const mass = points.reduce((sum, x) => sum + weight(x), 0);
      for (const x of points) {
        const expected = (counts[parity]! * weight(x)) / mass;
        if (expected < 20) continue;
        statistic += ((seen[parity]!.get(x) ?? 0) - expected) ** 2 / expected;
        cells++;
      }
    }
    return { statistic, cells, variance: squares / (counts[0]! + counts[1]!) };
  }

  it('fits the conditional distribution that the parameters are chosen for (docs/parameters.md)', () => {
    const { statistic, cells, variance } = conditionalChiSquare(0);
    expect(cells).toBeGreaterThan(60);
    expect(statistic).toBeLessThan(cells + 6 * Math.sqrt(2 * cells)); // the samples are fixed: always or never
    expect(Math.sqrt(variance)).toBeCloseTo(6.4 / Math.SQRT2, 1);
    // Control: keys of twice the other node's width do not fit.
    expect(conditionalChiSquare(1).statistic).toBeGreaterThan(10_000);
  });

  it('and so do the errors of payloads as nodes send them', async () => {
    const parameters = deriveParameters({ ...REQUEST, members: 3, threshold: 2 });
    const context = contextOf(parameters, engine);
    const q = parameters.primes[0]!;
    const operations = modelOperations({ ...ringShape(parameters), primes: [q] });
    const a = expandUniform(publicStream(context, 0), 0, q, parameters.ringDegree);
    /** e of an update of zeros: c + a*k, which is small modulo any one prime. */
    const errorOf = (name: string): Int32Array => {
      using encryptor = createEncryptor(context, new Int32Array(300), new SecretBytes('seed', hashOf(name)));
      const length = parameters.lastBlockCoefficients;
      const [residues] = unpackBlock(ringShape(parameters), encryptor.block(0), length);
      const c = new Uint32Array(parameters.ringDegree);
      c.set(residues!);
      const key = Uint32Array.from(encryptor.key, (k) => (k + q) % q);
      using decryptor = operations.decryptor(operations.toNtt(key));
      return Int32Array.from(decryptor.decrypt(c, a).subarray(0, length), (x) => (2 * x > q ? x - q : x));
    };
    const halves: number[] = [];
    for (let pair = 0; pair < 6; pair++) {
      const [own, other] = [errorOf(`own error ${pair}`), errorOf(`other error ${pair}`)];
      own.forEach((e, c) => void halves.push((e - other[c]!) / 2));
    }
    const deviation = Math.sqrt(halves.reduce((sum, x) => sum + x * x, 0) / halves.length);
    expect(halves).toHaveLength(6 * 512);
    expect(Math.abs(deviation / (6.4 / Math.SQRT2) - 1)).toBeLessThan(6 / Math.sqrt(2 * halves.length));
  });
});
