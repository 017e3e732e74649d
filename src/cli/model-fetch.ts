import { extname, join } from 'node:path';
import { fromHex, toHex } from '../../crypto/encoding.ts';
import { isRejection } from '../../protocols/errors.ts';
import { openModel, sealedModelBytesMax } from '../../protocols/model-box.ts';
import type { ModelEntry, Transcript } from '../../protocols/transcript.ts';
import { readKeyFile, writeDurably } from '../config/files.ts';
import { download } from '../grpc/download.ts';
import { ModelService } from '../grpc/services.ts';
import { FOLDER } from '../keys/party-folder.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { asking, type Caller, openCaller, readLogOnce } from './caller.ts';
import { CliError, usageError } from './exit.ts';
import { grouped } from './output.ts';

/** A model speaks of the rows that it was trained on: it is for its federation. */
const PRIVATE = 0o600;

/** @throws CliError UNKNOWN_MODEL */
export function findModel({ models }: Transcript, number: number | null): ModelEntry {
  const found = number === null ? models.at(-1) : models.findLast((model) => model.number === number);
  if (found !== undefined) return found;
  throw new CliError(
    'UNKNOWN_MODEL',
    models.length === 0
      ? 'the log names no model yet: is the recipient running?'
      : `the log names no model ${number}: it has ${models[0]!.number} to ${models.at(-1)!.number}`,
  );
}

/** A model as the log names it, from the coordinator, opened with the caller's own key. @throws CliError MODEL_MISMATCH */
export async function takeModel(caller: Caller, transcript: Transcript, entry: ModelEntry): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const request = (offsetBytes: bigint) => ({ sealedHash: fromHex(entry.sealedHash, 32), offsetBytes });
  const options = { maxBytes: sealedModelBytesMax(entry.modelBytes), attempts: 3 };
  await asking('the coordinator', caller.coordinator, () =>
    download([caller.coordinator], ModelService.get, request, (chunk) => void chunks.push(chunk), options),
  );
  const sealed = new Uint8Array(Buffer.concat(chunks));
  if (toHex(nodePrimitives.sha256(sealed)) !== entry.sealedHash)
    throw new CliError('MODEL_MISMATCH', 'the coordinator sent another file than the log names');
  using kem = readKeyFile(join(caller.folder, FOLDER.kem), 'model key');
  const opened = openModel(nodePrimitives, kem, transcript.logId, caller.name, sealed, entry.modelHash);
  if (isRejection(opened))
    throw new CliError(opened.rejected, `model ${entry.number} cannot be opened here: ${opened.why}`);
  return opened;
}

/** `veilsum model fetch`. */
export async function fetchModelFile(
  folder: string,
  out: string,
  number: number | null,
  say: (line: string) => void,
): Promise<void> {
  if (extname(out) !== '.safetensors') throw usageError('--out: the file ends in .safetensors');
  const caller = await openCaller(folder);
  if (caller.role !== 'node' && caller.role !== 'recipient')
    throw new CliError(
      'ROLE_REFUSED',
      `models are sealed to nodes and recipients, and ${folder} is the folder of ${caller.name} (${caller.role})`,
    );
  const { transcript } = await readLogOnce(caller);
  const entry = findModel(transcript, number);
  const opened = await takeModel(caller, transcript, entry);
  writeDurably(out, opened, PRIVATE);
  say(`${out}: model ${entry.number}, ${grouped(opened.length)} bytes, SHA-256 ${entry.modelHash} as in the log`);
}
