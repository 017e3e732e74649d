import fc from 'fast-check';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { canonicalBytes, fromUtf8, type Json } from '../../crypto/encoding.ts';
import { canonicalTextOf, exact, integerFrom, listOf, only, textOf } from '../../protocols/exact.ts';

/** Both ways of saying one shape. */
const is = exact({
  hash: textOf(/^[0-9a-f]{4}$/),
  count: integerFrom(0),
  small: integerFrom(1, 3),
  list: listOf(exact({ name: textOf(/^[a-z]+$/) }), 1, 2),
});
const schema = z.strictObject({
  hash: z.string().regex(/^[0-9a-f]{4}$/),
  count: z.int().min(0),
  small: z.int().min(1).max(3),
  list: z
    .array(z.strictObject({ name: z.string().regex(/^[a-z]+$/) }))
    .min(1)
    .max(2),
});

const good = { hash: '00ff', count: 7, small: 2, list: [{ name: 'a' }] };

it('accepts what the strict zod object of the same fields accepts', () => {
  const scalar = fc.oneof(
    fc.constantFrom<unknown>('00ff', '00fF', '', 0, 1, 3, 4, -1, 0.5, 2 ** 53, null, true, [], {}, 'abc'),
    fc.jsonValue(),
  );
  const item = fc.oneof(
    fc.constant({ name: 'a' }),
    fc.record({ name: scalar }),
    fc.constant({ name: 'a', more: 1 }),
    scalar,
  );
  const value = fc.record(
    {
      hash: fc.oneof(fc.constant('00ff'), scalar),
      count: fc.oneof(fc.nat(), scalar),
      small: fc.oneof(fc.nat(4), scalar),
      list: fc.oneof(fc.array(item, { maxLength: 3 }), scalar),
      more: scalar,
    },
    { requiredKeys: [] },
  );
  let accepted = 0;
  fc.assert(
    fc.property(fc.oneof(value, fc.constant(good), fc.jsonValue()), (json) => {
      expect(is(json)).toBe(schema.safeParse(json).success);
      if (is(json)) accepted++;
    }),
    { numRuns: 2000 },
  );
  expect(accepted).toBeGreaterThan(100);
});

it('has a form that matches the canonical texts of what it accepts, and no other text', () => {
  const form = canonicalTextOf(is);
  const canonical = (value: unknown): string => fromUtf8(canonicalBytes(value as Json));
  expect(form.test(canonical(good))).toBe(true);
  // The same value in other spellings is not canonical.
  for (const text of [JSON.stringify(good), ` ${canonical(good)}`, `${canonical(good)}\n`]) {
    expect(form.test(text)).toBe(false);
  }
  const value = fc.record({
    hash: fc.constantFrom('00ff', '00fF', ''),
    count: fc.oneof(fc.maxSafeNat(), fc.constantFrom(-1, 2 ** 53 - 1)),
    small: fc.nat(4),
    list: fc.array(fc.constantFrom({ name: 'a' }, { name: 'A' }), { maxLength: 3 }),
  });
  let accepted = 0;
  fc.assert(
    fc.property(value, (json) => {
      const accepts = is(json);
      if (accepts) accepted++;
      expect(form.test(canonical(json))).toBe(accepts);
    }),
    { numRuns: 2000 },
  );
  expect(accepted).toBeGreaterThan(20);
});

it('matches integers up to its bound, digit by digit', () => {
  for (const most of [1, 9, 10, 19, 20, 255, 1009, 2 ** 30, Number.MAX_SAFE_INTEGER]) {
    for (const least of [0, 1]) {
      const guard = integerFrom(least, most);
      const form = canonicalTextOf(guard);
      const near = [0, 1, 2, 9, 10, 11, 99, 100, 101, most - 1, most, most + 1, most * 2, Math.floor(most / 10)];
      const some = fc.sample(fc.nat(Math.min(most * 2, 2 ** 31 - 1)), { numRuns: 300, seed: 1 });
      for (const n of [...near, ...some]) expect([most, n, form.test(String(n))]).toEqual([most, n, guard(n)]);
      for (const text of ['', '00', '01', '-1', '1.0', '1e1', `${most}0`, '9007199254740993']) {
        expect([most, text, form.test(text)]).toEqual([most, text, false]);
      }
    }
  }
  expect(integerFrom(2).form).toBeUndefined();
  expect(exact({ a: integerFrom(2) }).form).toBeUndefined();
  expect(listOf(only(1), 0, 2).form).toBeUndefined();
  expect(canonicalTextOf(only(1), only('a')).test('"a"')).toBe(true);
});

it('takes no field from a prototype, and no list for an object', () => {
  expect(is(good)).toBe(true);
  expect(is(Object.assign(Object.create({ hash: '00ff' }), { count: 7, small: 2, list: good.list, x: 1 }))).toBe(false);
  expect(exact({ length: integerFrom(0) })([])).toBe(false);
  expect(exact({})(null)).toBe(false);
});
