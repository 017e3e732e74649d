import { describe, expect, it } from 'vitest';
import { CryptoError } from '../../crypto/errors.ts';
import { poissonSample } from '../../crypto/poisson-sample.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';

const seedOf = (number: number): Uint8Array => new Uint8Array(32).fill(number);
const draw = (seed: number, count: number, rateMicro: number) =>
  poissonSample(nodePrimitives, seedOf(seed), count, rateMicro);
const taken = (drawn: Uint8Array): number => drawn.reduce((sum, one) => sum + one, 0);

describe('records drawn by themselves', () => {
  it('each with its rate: as many as a binomial gives, in pairs too', () => {
    const count = 200_000;
    for (const [seed, rate] of [
      [1, 0.5],
      [2, 0.1],
      [3, 0.001],
      [4, 0.999999],
    ] as const) {
      const drawn = draw(seed, count, rate * 1e6);
      expect(drawn.every((one) => one === 0 || one === 1)).toBe(true);
      // Six standard deviations; the seeds are fixed, so this is no matter of luck.
      expect(Math.abs(taken(drawn) - count * rate)).toBeLessThan(6 * Math.sqrt(count * rate * (1 - rate)) + 1);
      const pairs = drawn.reduce((sum, one, i) => sum + one * (drawn[i + 1] ?? 0), 0);
      expect(Math.abs(pairs - count * rate ** 2)).toBeLessThan(8 * Math.sqrt(count) * rate + 1);
    }
  });

  it('by the seed alone, none at rate 0, all at rate 1, and a longer table begins alike', () => {
    expect(draw(5, 9000, 300_000)).toEqual(draw(5, 9000, 300_000));
    expect(draw(6, 9000, 300_000)).not.toEqual(draw(5, 9000, 300_000));
    expect(taken(draw(5, 9000, 0))).toBe(0);
    expect(taken(draw(5, 9000, 1_000_000))).toBe(9000);
    expect(draw(5, 20_000, 300_000).subarray(0, 9000)).toEqual(draw(5, 9000, 300_000));
    expect(draw(5, 0, 300_000)).toEqual(new Uint8Array(0));
  });

  it('by words that are uniform modulo a million: one that is beyond the last whole million is dropped', () => {
    const words = new Uint32Array(4096).fill(7);
    words[0] = 4_294_000_000;
    words[1] = 4_294_967_295;
    words[2] = 999_999;
    words[3] = 4_293_999_999;
    const primitives = {
      aes256Ctr: (_key: Uint8Array, length: number) => new Uint8Array(words.buffer.slice(0, length)),
    };
    // With the first two dropped: 999,999 and 999,999 are not below the rate, 7 is.
    expect([...poissonSample(primitives, seedOf(1), 3, 999_999)]).toEqual([0, 0, 1]);
  });

  it('refuses what is no rate, count or seed', () => {
    for (const [count, rate] of [
      [-1, 5],
      [1.5, 5],
      [1, -1],
      [1, 1_000_001],
      [1, 0.5],
    ] as const)
      expect(() => draw(1, count, rate)).toThrow(CryptoError);
    expect(() => poissonSample(nodePrimitives, new Uint8Array(16), 1, 1)).toThrow(CryptoError);
  });
});
