import { z } from 'zod';
import { ENCODINGS } from './encoding.ts';
import { secretField } from './secret-setting.ts';

/**
 * `region-eu.yaml`: where a region's rows are. Paths are relative to its folder. It names secrets' places and holds none.
 */
const text = z.string().min(1);

/** Names that differ here: the feature file's name of a column to the region's own. */
const columns = z.record(text, text).default({});
const timeoutSeconds = z.number().min(1).max(3600).default(300);

const csvField = z.strictObject({
  from: z.literal('csv'),
  path: text,
  delimiter: z.string().length(1).optional(),
  encoding: z.enum(ENCODINGS).default('utf-8'),
  columns,
});

const parquetField = z.strictObject({ from: z.literal('parquet'), path: text, columns });

const postgresqlField = z.strictObject({
  from: z.literal('postgresql'),
  /** A name, or the folder of a Unix socket. Any host but this machine has to speak TLS. */
  host: text,
  port: z.int().min(1).max(65_535).default(5432),
  database: text,
  user: text,
  password: secretField.optional(),
  /** PEM file of the authority that signed the server's certificate. */
  ca: text.optional(),
  query: text,
  timeoutSeconds,
  columns,
});

const clientId = text;
const loginField = z.discriminatedUnion('flow', [
  z.strictObject({
    flow: z.literal('password'),
    clientId,
    clientSecret: secretField,
    username: text,
    password: secretField,
  }),
  z.strictObject({ flow: z.literal('jwt'), clientId, username: text, privateKey: secretField }),
  z.strictObject({
    flow: z.literal('refresh-token'),
    clientId,
    clientSecret: secretField.optional(),
    refreshToken: secretField,
  }),
  z.strictObject({ flow: z.literal('client-credentials'), clientId, clientSecret: secretField }),
  z.strictObject({ flow: z.literal('access-token'), accessToken: secretField, instanceUrl: text }),
]);
export type LoginSetting = z.infer<typeof loginField>;

const salesforceField = z.strictObject({
  from: z.literal('salesforce'),
  login: loginField,
  /** https://test.salesforce.com for sandboxes; the org's own domain for client-credentials. */
  loginUrl: text.default('https://login.salesforce.com'),
  version: z
    .string()
    .regex(/^\d{2,3}\.0$/, 'must be an API version such as "62.0", in quotes')
    .default('62.0'),
  query: text,
  leaveRequestsPercent: z.number().min(0).max(100).default(10),
  /** An HTTP proxy between this site and Salesforce; TLS goes through it to Salesforce itself. */
  proxy: z.url({ protocol: /^https?$/ }).optional(),
  timeoutSeconds,
  columns,
});

const tableField = z.discriminatedUnion('from', [csvField, parquetField, postgresqlField, salesforceField]);
export type TableSetting = z.infer<typeof tableField>;

export const regionField = z.strictObject({
  /** The node's folder, with card, keys and node.yaml. Not looked at by --check where it is not there. */
  node: text.default('.'),
  /** The public feature file, YAML or JSON, or the name of a built-in one. */
  features: text,
  /** Columns that this region knows to be leakage: training stops if the feature file reads one. */
  leakage: z.array(text).default([]),
  /** By the names that the feature file uses; where it derives nothing, one table named `rows`. */
  tables: z.record(text, tableField),
});
export type RegionConfig = z.infer<typeof regionField>;
