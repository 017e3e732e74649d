import { bucketForgeries } from './bucket-log.ts';
import { form } from './forged-form.ts';
import { order } from './forged-order.ts';
import { records } from './forged-records.ts';
import { round } from './forged-rounds.ts';
import type { Forgery } from './forgery.ts';
import { oneShotForgeries } from './one-shot-log.ts';

/** Every rule, broken at least once. */
export const FORGERIES: readonly Forgery[] = [
  ...form,
  ...order,
  ...records,
  ...round,
  ...bucketForgeries,
  ...oneShotForgeries,
];
