import { join } from 'node:path';
import { z } from 'zod';
import { sitePolicyField } from '../../protocols/site-policy.ts';
import { taskField } from '../../protocols/task.ts';
import { addressField } from '../config/federation.ts';
import { readValidated } from '../config/files.ts';

/** `node.yaml` of a node's folder: what it trains on, and with which tasks. Paths are relative to the folder. */
export const nodeConfigField = z.strictObject({
  /** Task files that this site takes part in. */
  tasks: z.array(z.string().min(1)).min(1),
  /** The site's policy file. */
  policy: z.string().min(1).default('policy.yaml'),
  /** Rows to train on, CSV, and rows held out for evaluation. Null: updates come from `veilsum node submit`. */
  data: z
    .strictObject({ train: z.string().min(1), heldOut: z.string().min(1) })
    .nullable()
    .default(null),
  engine: z.enum(['auto', 'kernel', 'node-seal']).default('auto'),
  /** host:port to bind where that is not the card's address. */
  listen: addressField.optional(),
});

/** A node's configuration with the files that it names. @throws ConfigError */
export function readNodeConfig(folder: string) {
  const config = readValidated(
    join(folder, 'node.yaml'),
    "the node's configuration",
    nodeConfigField,
    "'veilsum node new' writes one, 'veilsum node run --help' shows one",
  );
  return {
    ...config,
    policy: readValidated(
      join(folder, config.policy),
      "the site's policy",
      sitePolicyField,
      "'veilsum policy new' writes one",
    ),
    tasks: config.tasks.map((path) => readValidated(join(folder, path), 'the task file', taskField)),
  };
}
