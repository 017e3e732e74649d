import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createNoiseSampler } from '../../crypto/noise.ts';
import { type CompressionOptions, casesOf, runCompression } from '../../src/experiment/compression.ts';
import { entropyBits } from '../../src/experiment/entropy.ts';
import { loadNoiseModule } from '../../src/platform/noise-module.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';

const work = mkdtempSync(join(tmpdir(), 'veilsum-compression-'));
afterAll(() => rmSync(work, { recursive: true }));

const lines: string[] = [];
const options: CompressionOptions = {
  ...{ dataset: 'synthetic', models: ['logistic'], unit: 'node', epsilon: 'none', bits: [8], keeps: [0.3] },
  ...{ variants: ['plain', 'rotated', 'feedback'], isFull: false, hidden: 16, rounds: 1, seed: 1, out: work },
  print: (line) => void lines.push(line),
};

describe('bits that integers need', () => {
  const gaussian = (sigma2: bigint, count: number): Int32Array => {
    const variance = { sigma2Numerator: sigma2, sigma2Denominator: 1n };
    const values = new Int32Array(count);
    createNoiseSampler(loadNoiseModule(), nodePrimitives, variance).sample(new Uint8Array(32).fill(7), values);
    return values;
  };

  it.each([
    [1n, 20_000],
    [10_000n, 20_000],
    // Ten samples for each of the values that occur: their own histogram says two bits too little.
    [40_000_000n, 20_000],
  ])('are those of a discrete Gaussian of variance %d', (sigma2, count) => {
    const known = Math.log2(Math.sqrt(2 * Math.PI * Math.E * Number(sigma2)));
    const found = entropyBits([gaussian(sigma2, count / 2), gaussian(sigma2, count / 2)]);
    expect(Math.abs(found - known)).toBeLessThan(0.06);
    expect(known - Math.log2(count)).toBeGreaterThan(sigma2 > 1_000_000n ? 0.3 : -20);
  });

  it('are none for what is always the same, and one for a coin, also of a few throws', () => {
    expect(entropyBits([new Int32Array(1000).fill(-5)])).toBe(0);
    expect(entropyBits([Int32Array.from({ length: 10_000 }, (_, i) => i % 2)])).toBeCloseTo(1, 3);
    expect(entropyBits([Int32Array.from([-1, 0, -1, 0])])).toBeCloseTo(1, 0);
    expect(entropyBits([Int32Array.from([-1, 0, 1])])).toBeGreaterThan(1);
  });
});

it('runs what there is to run: feedback is about what is left out, and not for records', () => {
  const names = casesOf({ ...options, bits: ['default', 4, 8], keeps: [1, 0.3] }).map(
    ({ bits, keep, variant }) => `${bits} ${keep} ${variant}`,
  );
  expect(names).toEqual([
    ...['default 1 plain', '4 1 plain', '8 1 plain', 'default 1 rotated', '4 1 rotated', '8 1 rotated'],
    ...['4 0.3 plain', '4 0.3 rotated', '4 0.3 feedback'],
  ]);
  expect(casesOf({ ...options, bits: ['default', 4, 8], keeps: [1, 0.3], isFull: true })).toHaveLength(15);
  expect(casesOf({ ...options, unit: 'record' })).toHaveLength(2);
});

it('shows bytes against accuracy, with exact sums; a second run repeats nothing', async () => {
  const { outcomes } = await runCompression(options);
  expect(outcomes.map(({ exactSums }) => exactSums)).toEqual([1, 1, 1]);
  expect(outcomes.map(({ sent }) => sent)).toEqual([8, 9, 8]);
  for (const { valueBits, entropyBits: bits, payloadBytes, otherBytes, auc } of outcomes) {
    expect(valueBits).toBe(8);
    expect(bits).toBeLessThanOrEqual(8);
    // A logistic regression is below the least payload: nothing brings it a byte.
    expect(payloadBytes).toBe(outcomes[0]!.payloadBytes);
    expect(otherBytes).toBeGreaterThan(payloadBytes);
    expect(auc.low).toBeLessThan(auc.value);
  }
  const html = readFileSync(join(work, 'report.html'), 'utf8');
  expect(html.match(/<svg/g)).toHaveLength(1);
  expect(html).toContain('3 opened sums were compared');
  expect(readFileSync(join(work, 'report.md'), 'utf8')).toContain('0.3 kept, feedback');
  lines.length = 0;
  const again = await runCompression(options);
  expect(again.outcomes).toEqual(outcomes);
  expect(lines.filter((line) => line.includes('kept from before'))).toHaveLength(3);
});

it('nodes with short updates stay away; with too few of them the model stays', async () => {
  const thinned = { ...options, bits: [16], keeps: [1], variants: ['plain'] as const };
  const { outcomes } = await runCompression({ ...thinned, sendAbove: 100 });
  expect(outcomes[0]).toMatchObject({ updatesSent: 0, updates: 4, exactSums: 0, entropyBits: 0 });
  const all = await runCompression({ ...thinned, sendAbove: 0.001 });
  expect(all.outcomes[0]).toMatchObject({ updatesSent: 4, exactSums: 1 });
  expect(readFileSync(join(work, 'report.md'), 'utf8')).toContain('4 of 4');
});
