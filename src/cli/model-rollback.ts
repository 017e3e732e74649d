import { join } from 'node:path';
import { toHex } from '../../crypto/encoding.ts';
import { readersOf, sealModel } from '../../protocols/model-box.ts';
import { isOver, isRunning, type ModelEntry, type Transcript } from '../../protocols/transcript.ts';
import { makeLeaf } from '../../protocols/verified.ts';
import { readKeyFile } from '../config/files.ts';
import { ModelService } from '../grpc/services.ts';
import { sourceOf } from '../grpc/transfer.ts';
import { upload } from '../grpc/upload.ts';
import { FOLDER } from '../keys/party-folder.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';
import { asking, openCaller, readLogOnce } from './caller.ts';
import { CliError } from './exit.ts';
import { findModel, takeModel } from './model-fetch.ts';
import { originOf } from './model-list.ts';
import { printable } from './output.ts';

type Print = (line: string) => void;

/** A sum that is opened now would be charged and thrown away: no model is made of it any more. */
function requireNoRound(t: Transcript): void {
  const round = [...t.rounds.values()].find((one) => isRunning(one) && !isOver(t, one));
  if (round === undefined) return;
  const { number, task } = round.record;
  throw new CliError(
    'ROUND_RUNNING',
    `round ${number} of ${printable(task)} is under way, and would be charged for nothing: wait for its end, or end it with 'veilsum round abort'`,
  );
}

/** Windows that a model had its one sum of: a round over them cannot start from it again. */
function windowsOf(t: Transcript, { modelHash }: ModelEntry): string[] {
  const decided = [...t.roundOfDecide.values()].map((id) => t.rounds.get(id)!.record);
  const had = decided.filter((record) => record.modelHash === modelHash);
  return [...new Set(had.map(({ task, window }) => `${printable(task)}, window ${printable(window)}`))];
}

/**
 * `veilsum model rollback`: makes an earlier model the newest again. Seals it to whoever is enrolled now and logs a model leaf
 * that names it; the models after it stay in the log.
 *
 * @throws CliError ROLE_REFUSED, UNKNOWN_MODEL, ROUND_RUNNING, REFUSED before anything is logged.
 */
export async function rollBack(
  folder: string,
  to: number,
  agrees: () => Promise<boolean>,
  print: Print,
): Promise<void> {
  const caller = await openCaller(folder);
  if (caller.role !== 'recipient')
    throw new CliError(
      'ROLE_REFUSED',
      `only a recipient publishes models, and ${folder} is the folder of ${caller.name} (${caller.role})`,
    );
  const { transcript: t } = await readLogOnce(caller);
  const entry = findModel(t, to);
  const newest = t.models.at(-1)!;
  if (newest.modelHash === entry.modelHash)
    throw new CliError(
      'UNKNOWN_MODEL',
      newest.number === to
        ? `model ${to} is the newest already: nothing to go back to`
        : `model ${newest.number}, the newest, is model ${to} already`,
    );
  requireNoRound(t);
  const model = await takeModel(caller, t, entry);
  print(
    `model ${newest.number} (${originOf(t, newest)}) is the newest; model ${newest.number + 1} will be model ${to} (${originOf(t, entry)}) again`,
  );
  print(
    `It is sealed to the ${readersOf(t).length} nodes and recipients of now. Nothing leaves the log, and no budget comes back.`,
  );
  for (const window of windowsOf(t, entry))
    print(`It had its sum of ${window}: to go on from it, make a task with another 'task new --window'.`);
  if (!(await agrees())) throw new CliError('REFUSED', 'nothing was changed');
  using identity = readKeyFile(join(folder, FOLDER.identity), 'identity key');
  const sealed = sealModel(nodePrimitives, systemRng, t, model);
  const body = {
    ...{ number: newest.number + 1, modelHash: entry.modelHash, modelBytes: entry.modelBytes },
    ...{ sealedHash: toHex(nodePrimitives.sha256(sealed)), decide: null, restores: entry.number },
  };
  const signer = { name: caller.name, log: t.logId, secret: identity };
  const leaf = makeLeaf(nodePrimitives, signer, 'model', body, Date.now());
  const header = { leaf, sealedBytes: BigInt(sealed.length) };
  await asking('the coordinator', caller.coordinator, () =>
    upload([caller.coordinator], ModelService.put, header, sourceOf(sealed)),
  );
  print(
    `model ${body.number} is model ${to} again. The next round starts from it, and 'veilsum model fetch' gives it.`,
  );
}
