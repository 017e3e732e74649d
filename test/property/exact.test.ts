import fc from 'fast-check';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { exact, integerFrom, listOf, textOf } from '../../protocols/exact.ts';

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

it('takes no field from a prototype, and no list for an object', () => {
  expect(is(good)).toBe(true);
  expect(is(Object.assign(Object.create({ hash: '00ff' }), { count: 7, small: 2, list: good.list, x: 1 }))).toBe(false);
  expect(exact({ length: integerFrom(0) })([])).toBe(false);
  expect(exact({})(null)).toBe(false);
});
