import { join } from 'node:path';
import { z } from 'zod';
import { taskField } from '../../protocols/task.ts';
import { addressField } from '../config/federation.ts';
import { readValidated } from '../config/files.ts';
import type { EngineChoice } from '../party/engines.ts';
import { type RecipientSetting, runRecipient } from '../party/recipient.ts';
import { createModelMaker } from '../training/model-maker.ts';

/** `recipient.yaml` of a recipient's folder. Paths are relative to the folder. */
const recipientConfigField = z.strictObject({
  tasks: z.array(z.string().min(1)).min(1),
  engine: z.enum(['auto', 'kernel', 'node-seal']).default('auto'),
  /** host:port to bind where that is not the card's address. */
  listen: addressField.optional(),
});

export interface StartedRecipient {
  readonly name: string;
  readonly address: string;
  readonly tasks: readonly string[];
  stop(): Promise<void>;
}

/** A recipient, with what each round said as one more event on standard error. */
export async function startRecipient(
  folder: string,
  engine: EngineChoice | null,
  listen?: string,
): Promise<StartedRecipient> {
  const config = readValidated(
    join(folder, 'recipient.yaml'),
    "the recipient's configuration",
    recipientConfigField,
    "'veilsum recipient new' writes one",
  );
  const tasks = config.tasks.map((path) => readValidated(join(folder, path), 'the task file', taskField));
  const running = await runRecipient(
    folder,
    async (party): Promise<RecipientSetting> => {
      const maker = createModelMaker({
        store: party.store,
        onOutcome: ({ round, nodes, records, evaluation, optimiser }) => {
          const auc = evaluation === null ? null : evaluation.auc;
          party.say('model made', {
            round,
            nodes,
            records: records === null ? null : Math.round(records),
            auc,
            optimiser,
          });
        },
      });
      return { tasks, engine: engine ?? config.engine, maker };
    },
    listen ?? config.listen,
  );
  return {
    name: running.party.name,
    address: running.address,
    tasks: tasks.map(({ task }) => task),
    stop: running.stop,
  };
}
