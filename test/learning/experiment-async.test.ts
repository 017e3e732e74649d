import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { runAsync } from '../../src/experiment/async.ts';
import { bufferedTurns, paceOf, waitingTurns } from '../../src/experiment/pace.ts';

const out = mkdtempSync(join(tmpdir(), 'veilsum-async-'));
afterAll(() => rmSync(out, { recursive: true }));

describe('turns', () => {
  it('buffered: a node is in as many as its time allows, from models that were there when it began', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0.5, max: 8, noNaN: true }), { minLength: 3, maxLength: 9 }),
        fc.integer({ min: 1, max: 3 }),
        fc.integer({ min: 0, max: 6 }),
        (pace, buffer, maxStaleness) => {
          const turns = bufferedTurns(pace, { buffer, maxStaleness }, 30);
          for (const [number, { at, shares }] of turns.entries()) {
            expect(shares.length).toBeGreaterThanOrEqual(buffer);
            expect(new Set(shares.map(({ node }) => node)).size).toBe(shares.length);
            expect(at).toBeGreaterThanOrEqual(turns[number - 1]?.at ?? 0);
            for (const { node, base } of shares) {
              expect(number - base).toBeGreaterThanOrEqual(0);
              expect(number - base).toBeLessThanOrEqual(maxStaleness);
              // Trained for as long as it takes, since its model was there.
              expect(at - (turns[base - 1]?.at ?? 0)).toBeGreaterThanOrEqual(pace[node]! - 1e-9);
            }
          }
          for (const [node, takes] of pace.entries()) {
            const own = turns.filter(({ shares }) => shares.some((share) => share.node === node));
            expect(own.length * takes).toBeLessThanOrEqual(30 + 1e-9);
            expect(new Set(own.map(({ shares }) => shares.find((share) => share.node === node)!.base)).size).toBe(
              own.length,
            );
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('waiting: everybody is in every one, and the slowest says how many there are', () => {
    const pace = paceOf(6, 2, 5, 1);
    expect(pace.slice(0, 4).every((takes) => takes < 1.2)).toBe(true);
    expect(pace.slice(4).every((takes) => takes > 4)).toBe(true);
    const turns = waitingTurns(pace, 3 * Math.max(...pace));
    expect(turns.map(({ shares }) => shares.length)).toEqual([6, 6, 6]);
    expect(turns.map(({ shares }) => shares[0]!.base)).toEqual([0, 1, 2]);
  });
});

it('runs both kinds with the real cryptography, and says what each came to', async () => {
  const lines: string[] = [];
  const print = (line: string): void => void lines.push(line);
  const setting = { dataset: 'synthetic', nodes: 4, slow: 1, slowness: 3, buffer: 3, maxStaleness: 20 } as const;
  const { outcomes } = await runAsync({ ...setting, rounds: 2, seed: 1, out, print });
  const [waiting, buffered] = outcomes;
  expect([waiting!.sums, waiting!.staleness.most, waiting!.slowUpdates]).toEqual([2, 0, 2]);
  expect(buffered!.sums).toBeGreaterThan(2);
  expect(buffered!.staleness.most).toBeGreaterThan(0);
  expect(buffered!.slowUpdates).toBeGreaterThan(0);
  const report = readFileSync(join(out, 'report.md'), 'utf8');
  expect(report).toContain(`| waits for all (masks) | 2 | 8 | 2 |`);
  expect(report).toContain('a sum is checked only by adding up again');
  expect(readFileSync(join(out, 'async.svg'), 'utf8')).toContain('buffered (masking none)');
}, 60_000);
