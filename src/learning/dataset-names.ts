/**
 * What the demo, experiments and tests train on. `bank-drift` is bank cut into quarters of time instead of job groups; `clv` is
 * upsell (who takes an offer); in `crm` there is next to nothing to learn, and an honest report says so; `conversations` is synthetic with
 * a column of text; `accounts` is upsell from generated events, counted by a feature file.
 */
export const DATASETS = [
  'synthetic',
  'conversations',
  'accounts',
  'leads',
  'bank',
  'bank-drift',
  'churn',
  'telco',
  'clv',
  'crm',
] as const;
export type DatasetName = (typeof DATASETS)[number];
