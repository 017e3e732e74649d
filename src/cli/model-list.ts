import type { ModelEntry, Transcript } from '../../protocols/transcript.ts';
import { openCaller, readLogOnce } from './caller.ts';
import { printable, sizeOf, table } from './output.ts';

/** What a model was made of, in words. */
export function originOf(t: Transcript, { number, decide, restores }: ModelEntry): string {
  if (restores !== undefined) return `model ${restores} again`;
  const round = t.rounds.get(t.roundOfDecide.get(decide ?? '') ?? '');
  if (round === undefined) return number === 0 ? 'the first one' : 'no round';
  return `round ${round.record.number} of ${printable(round.record.task)}`;
}

/** `veilsum model list`: the models that the log names, oldest first. */
export async function listModels(folder: string, json: boolean, print: (line: string) => void): Promise<void> {
  const { transcript } = await readLogOnce(await openCaller(folder));
  const { models } = transcript;
  if (json) return print(JSON.stringify({ models: models.map(({ index: leaf, ...model }) => ({ ...model, leaf })) }));
  if (models.length === 0) return print('no models yet: the recipient publishes the first one');
  const cells = models.map((model) => [
    model.number,
    originOf(transcript, model),
    sizeOf(model.modelBytes),
    model.modelHash.slice(0, 12),
  ]);
  print(table(['model', 'made of', 'bytes', 'SHA-256'], cells));
  print(`The next round starts from model ${models.at(-1)!.number}.`);
}
