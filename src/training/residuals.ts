import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromUtf8, utf8 } from '../../crypto/encoding.ts';
import { wipe } from '../../crypto/secret.ts';
import { writeDurably } from '../config/files.ts';
import { decodeParts, encodeParts } from '../party/parts.ts';
import { makeFolders } from '../platform/make-folders.ts';
import { StoreError } from '../store/errors.ts';

/**
 * What error feedback has not sent yet, or how a node's own layers differ from the first model's: one per task, by the task's hash. As secret as the rows that it was made of.
 */
export interface Residuals {
  read(taskHash: string): Uint8Array | null;
  /** Durable when it returns. @param bytes - the caller's, who wipes them. */
  write(taskHash: string, bytes: Uint8Array): void;
}

/** For jobs in one process. */
export function residualsInMemory(): Residuals {
  const kept = new Map<string, Uint8Array>();
  return {
    read: (task) => kept.get(task)?.slice() ?? null,
    write: (task, bytes) => {
      const before = kept.get(task);
      kept.set(task, bytes.slice());
      if (before !== undefined) wipe(before);
    },
  };
}

/** In the node's own folder, beside its rows, for its owner's account alone. */
export function residualFiles(folder: string, ending = 'residual'): Residuals {
  const pathOf = (task: string): string => join(folder, `${task}.${ending}`);
  return {
    read: (task) => {
      if (!existsSync(pathOf(task))) return null;
      const bytes = readFileSync(pathOf(task));
      return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
    },
    write: (task, bytes) => {
      makeFolders(folder, 0o700);
      writeDurably(pathOf(task), bytes, 0o600);
    },
  };
}

/** A node's own layers, in the node's folder. */
export function headFiles(nodeFolder: string): Residuals {
  return residualFiles(join(nodeFolder, 'heads'), 'head');
}

interface Step {
  /** Of the model that the last update was for. */
  readonly modelHash: string;
  /** What was left over before that update, and after it. */
  readonly before: Float64Array;
  readonly after: Float64Array;
}

/**
 * What to add to the update for a model: what the last model's left over; asked again for that one (a round that was aborted, a
 * crash before the upload), the same as the first time.
 *
 * @returns `length` values, zeros where nothing was kept. Secret. @throws StoreError CORRUPT.
 */
export function residualFor(residuals: Residuals, taskHash: string, modelHash: string, length: number): Float64Array {
  const bytes = residuals.read(taskHash);
  if (bytes === null) return new Float64Array(length);
  const { modelHash: last, before, after } = decodeStep(bytes, length);
  wipe(bytes);
  const [taken, other] = last === modelHash ? [before, after] : [after, before];
  other.fill(0);
  return taken;
}

/** Keeps what an update left over, durably, before the update is used. */
export function keepResidual(residuals: Residuals, taskHash: string, { modelHash, before, after }: Step): void {
  const bytes = encodeParts([utf8(modelHash), bytesOf(before), bytesOf(after)]);
  residuals.write(taskHash, bytes);
  wipe(bytes);
}

function decodeStep(bytes: Uint8Array, length: number): Step {
  const [hash, before, after, ...rest] = decodeParts(bytes);
  if (before?.length !== 8 * length || after?.length !== 8 * length || rest.length > 0)
    throw new StoreError(
      'CORRUPT',
      'a file of what this node keeps between rounds is not one: delete it, training goes on',
    );
  const floatsOf = (part: Uint8Array): Float64Array => {
    const values = new Float64Array(part.slice().buffer);
    wipe(part);
    return values;
  };
  return { modelHash: fromUtf8(hash!), before: floatsOf(before), after: floatsOf(after) };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float64Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
