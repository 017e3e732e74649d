import { join } from 'node:path';
import { z } from 'zod';
import { taskField } from '../../protocols/task.ts';
import { addressField } from '../config/federation.ts';
import { readValidated } from '../config/files.ts';

/** `recipient.yaml` of a recipient's folder. Paths are relative to the folder. */
const recipientConfigField = z.strictObject({
  tasks: z.array(z.string().min(1)).min(1),
  engine: z.enum(['auto', 'kernel', 'node-seal']).default('auto'),
  /** host:port to bind where that is not the card's address. */
  listen: addressField.optional(),
});

/** A recipient's settings, with the task files that they name. @throws ConfigError where one is missing or malformed. */
export function readRecipientConfig(folder: string) {
  const config = readValidated(
    join(folder, 'recipient.yaml'),
    "the recipient's configuration",
    recipientConfigField,
    "'veilsum recipient new' writes one",
  );
  return {
    ...config,
    tasks: config.tasks.map((path) => readValidated(join(folder, path), 'the task file', taskField)),
  };
}
