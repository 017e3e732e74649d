import { expect, it } from 'vitest';
import { counted } from '../../src/cli/output.ts';

it('counts in the singular for one, in groups of three digits beyond', () => {
  expect([0, 1, 2, 1234].map((rows) => counted(rows, 'row'))).toEqual(['0 rows', '1 row', '2 rows', '1,234 rows']);
  expect([1, 2].map((rows) => counted(rows, 'row is', 'rows are'))).toEqual(['1 row is', '2 rows are']);
});
