import type { EngineChoice } from '../party/engines.ts';
import { type RecipientSetting, runRecipient } from '../party/recipient.ts';
import { besideStatistics } from '../statistics/recipient-statistics.ts';
import { createModelMaker } from '../training/model-maker.ts';
import { readRecipientConfig } from './recipient-config.ts';

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
  const config = readRecipientConfig(folder);
  const { tasks } = config;
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
      return { tasks, engine: engine ?? config.engine, maker: besideStatistics(maker) };
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
