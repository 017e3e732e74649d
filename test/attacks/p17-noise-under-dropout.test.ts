import { beforeAll, describe, expect, it } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import { createNoiseSampler } from '../../crypto/noise.ts';
import { loadNoiseModule } from '../../src/platform/noise-module.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { memorySetting, smallEngine } from '../reference/memory-round.ts';

/** Every node's own part of the noise, as rounds carry it: variance in the record, min_honest parts in the charge. */
const SIGMA2 = 10_000n;
const REQUEST = { dimension: 6000, bits: 16, nodesMax: 16, minCohort: 3, minHonest: 3 };
const NODES = 6;
let engine: RingEngine;

beforeAll(async () => {
  engine = await smallEngine(REQUEST);
});

/** A round in which every node sends noise alone, of the given variance. @param survivors - nodes that stay. */
function noisyRound(survivors: number, variance: bigint) {
  const federation = new MemoryFederation(memorySetting(engine, { nodes: NODES, request: REQUEST, sigma2: SIGMA2 }));
  const sampler = createNoiseSampler(loadNoiseModule(), nodePrimitives, {
    sigma2Numerator: variance,
    sigma2Denominator: 1n,
  });
  const updates = new Map(
    federation.nodeNames.map((name, i) => {
      // Half of those who go do so before their upload, half before they confirm.
      if (i >= survivors) federation.vanished.set(name, i % 2 === 0 ? 'upload' : 'confirm');
      const noise = new Int32Array(REQUEST.dimension);
      sampler.sample(systemRng(32), noise);
      return [name, noise] as const;
    }),
  );
  const round = federation.runRound(1, updates);
  const values = federation.openings.get(round.id)?.values ?? null;
  // What the charge that the log took rests on: rho = sensitivity^2 / (2 * variance of the sum).
  const charged = 100 / (2 * round.record.charge.rhoNano * 1e-9);
  return { round, values, charged };
}

function varianceOf(values: Int32Array): number {
  return values.reduce((sum, x) => sum + x * x, 0) / values.length;
}

/** Six standard deviations below, as a factor: of the variance of d Gaussian samples. */
const LOW = 1 - 6 * Math.sqrt(2 / REQUEST.dimension);

describe('P17: noise is there under any allowed dropout', () => {
  it.each([6, 5, 4, 3])('%i survivors: the opened sum varies at least as the accountant charged', (survivors) => {
    const { values, charged } = noisyRound(survivors, SIGMA2);
    expect(charged).toBeCloseTo(REQUEST.minHonest * Number(SIGMA2), -2);
    expect(varianceOf(values!)).toBeGreaterThan(charged * LOW);
    expect(varianceOf(values!)).toBeGreaterThan(survivors * Number(SIGMA2) * LOW);
  });

  it('below min_cohort: abort, and nothing is opened', () => {
    const { round, values } = noisyRound(2, SIGMA2);
    expect(round).toMatchObject({ phase: 'aborted', reason: 'COHORT_TOO_SMALL' });
    expect(values).toBeNull();
  });

  it('control: noise shared out over all enrolled nodes is too little when half of them go', () => {
    const share = (SIGMA2 * BigInt(REQUEST.minHonest)) / BigInt(NODES);
    const all = noisyRound(6, share);
    expect(varianceOf(all.values!)).toBeGreaterThan(all.charged * LOW); // enough with everybody there
    const few = noisyRound(3, share);
    expect(varianceOf(few.values!)).toBeLessThan(few.charged * LOW);
  });
});
