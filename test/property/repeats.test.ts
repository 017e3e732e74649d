import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toBase64, toHex } from '../../crypto/encoding.ts';
import { type Bins, memoryBins, type Reading, readings } from '../../protocols/repeats.ts';
import { temporaryBins } from '../../src/audit/temporary-bins.ts';
import { systemRng } from '../../src/platform/rng.ts';

const SALT = new Uint8Array(32).fill(7);

/** A leaf of an imaginary log: what it asks for in which set; refused where any of it was there, as the rules do. */
interface Step {
  readonly values: readonly string[];
  readonly set: 'keys' | 'nonces';
  /** Asks, and then does not count for another reason. */
  readonly isVoid: boolean;
}

/** @returns the index of the first refused step; -1 for none. */
function firstRepeat(steps: readonly Step[], newSet: Reading['newSet']): number {
  const sets = { keys: newSet('keys'), nonces: newSet('nonces') };
  return steps.findIndex(({ values, set, isVoid }) => {
    if (values.some((value) => sets[set].has(value))) return true;
    if (!isVoid) for (const value of values) sets[set].add(value);
    return false;
  });
}

/** As the auditor does it. */
function read(steps: readonly Step[], newBins: () => Bins): { readonly answer: number; readonly times: number } {
  let times = 0;
  for (const all = readings(SALT, newBins); ; ) {
    const { value: reading } = all.next();
    times++;
    const answer = firstRepeat(steps, (name) => reading.newSet(name));
    if (reading.isExact()) return { answer, times };
  }
}

function exactly(steps: readonly Step[]): number {
  return firstRepeat(steps, () => {
    const values = new Set<string>();
    return { has: (text) => values.has(text), add: (text) => void values.add(text), size: 0 };
  });
}

describe('what occurs twice in a log', () => {
  it('is found where a set of all values finds it', () => {
    const values = fc.uniqueArray(
      fc.oneof(
        fc.nat(40).map((n) => toHex(new Uint8Array(32).fill(n, 30))),
        fc.string({ maxLength: 3 }),
      ),
      { minLength: 1, maxLength: 3 },
    );
    const step = fc.record({ values, set: fc.constantFrom('keys' as const, 'nonces' as const), isVoid: fc.boolean() });
    let repeats = 0;
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30, size: 'max' }), (steps) => {
        const expected = exactly(steps);
        if (expected >= 0) repeats++;
        expect(read(steps, memoryBins).answer).toBe(expected);
      }),
      { numRuns: 500 },
    );
    expect(repeats).toBeGreaterThan(50);
  });

  it('costs a second reading, and nothing where there is nothing', () => {
    const step = (value: string, isVoid = false): Step => ({ values: [value], set: 'nonces', isVoid });
    expect(read([step('a'), step('b')], memoryBins)).toEqual({ answer: -1, times: 1 });
    expect(read([step('a'), step('b'), step('a')], memoryBins)).toEqual({ answer: 2, times: 2 });
    // Asked for by a leaf that did not count, then by one that does: no repetition, but it looks like one at first.
    expect(read([step('a', true), step('a')], memoryBins)).toEqual({ answer: -1, times: 2 });
    // The same in two sets is no repetition either.
    expect(read([step('a'), { ...step('a'), set: 'keys' }], memoryBins)).toEqual({ answer: -1, times: 1 });
    // Control: an auditor that believes its first reading finds nothing.
    const { value: reading } = readings(SALT, memoryBins).next();
    expect(firstRepeat([step('a'), step('a')], (name) => reading.newSet(name))).toBe(-1);
  });

  it('is found also when what was put aside comes back as something else', () => {
    const steps = ['a', 'b', 'a'].map((value): Step => ({ values: [value], set: 'nonces', isVoid: false }));
    const doubled = (): Bins => ({
      append: () => {},
      read: () => {
        const random = systemRng(8);
        return new Uint8Array([...random, ...random]);
      },
    });
    expect(read(steps, doubled)).toEqual({ answer: 2, times: 5 });
  });

  it('is found among many, put aside on disk; different values have different fingerprints', () => {
    const many = Array.from({ length: 80_000 }, (_, i): Step => {
      const value = i % 2 === 0 ? toHex(systemRng(32)) : toBase64(systemRng(32));
      return { values: [value], set: 'nonces', isVoid: false };
    });
    const again = [...many, many[12_345]!];
    using first = temporaryBins();
    using second = temporaryBins();
    using third = temporaryBins();
    const bins = [first, second, third];
    expect(read(many, () => bins.shift()!)).toEqual({ answer: -1, times: 1 });
    expect(read(again, () => bins.shift()!)).toEqual({ answer: many.length, times: 2 });
  });
});

describe('bins in a temporary file', () => {
  it('give back what was put in, whatever order it came in', () => {
    using bins = temporaryBins();
    const piece = fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        using own = temporaryBins();
        for (const [bin, bytes] of pieces) own.append(bin, bytes);
        for (const [bin] of pieces) {
          const all = pieces.filter(([other]) => other === bin).toReversed();
          expect([...own.read(bin)]).toEqual(all.flatMap(([, bytes]) => [...bytes]));
        }
      }),
      { numRuns: 50 },
    );
    expect(bins.read(3)).toHaveLength(0);
  });
});
