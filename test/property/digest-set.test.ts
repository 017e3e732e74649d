import fc from 'fast-check';
import { expect, it } from 'vitest';
import { toBase64, toHex } from '../../crypto/encoding.ts';
import { DigestSet } from '../../protocols/digest-set.ts';

/** Few distinct bytes, so that equal values, equal words and equal bytes in two spellings occur. */
const bytes = fc.oneof(
  fc.uint8Array({ minLength: 32, maxLength: 32, max: 1 }),
  fc.uint8Array({ minLength: 32, maxLength: 32 }),
  fc.nat(200).map((n) => new Uint8Array(32).fill(n, 31)),
);
const text = fc.oneof(
  bytes.map(toHex),
  bytes.map(toBase64),
  bytes.map((value) => toBase64(value).replace(/.=$/, 'B=')), // stray bits: no canonical spelling
  bytes.map((value) => toHex(value).toUpperCase()),
  fc.string({ maxLength: 70, unit: 'grapheme' }),
  fc.nat(20).map((n) => 'k'.repeat(1000 + n)),
);

it('behaves as a set of strings', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), text), { maxLength: 300 }), (steps) => {
      const [set, model] = [new DigestSet(), new Set<string>()];
      for (const [adds, value] of steps) {
        expect([value, set.has(value)]).toEqual([value, model.has(value)]);
        if (adds) {
          set.add(value);
          model.add(value);
        }
        expect(set.size).toBe(model.size);
      }
    }),
    { numRuns: 200 },
  );
});

it('keeps everything while it grows, also values that share their words', () => {
  const set = new DigestSet();
  const value = (n: number): string => toHex(new Uint8Array(new Uint32Array([7, n & 1, 0, 0, 0, 7, 0, n]).buffer));
  for (let n = 0; n < 3000; n++) set.add(value(n));
  for (let n = 0; n < 3000; n++) if (!set.has(value(n))) throw new Error(`lost ${n}`);
  expect([set.size, set.has(value(3000))]).toEqual([3000, false]);
  const many = new DigestSet();
  for (let n = 0; n < 50_000; n++)
    many.add(toBase64(new Uint8Array(new Uint32Array([n, n * n, 1, 2, 3, n * 7, 5, 6]).buffer)));
  expect(many.size).toBe(50_000);
});
