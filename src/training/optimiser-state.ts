import { z } from 'zod';
import { fromUtf8, utf8 } from '../../crypto/encoding.ts';
import type { Model } from '../learning/model.ts';
import type { ServerState } from '../learning/server-step.ts';
import { decodeParts, encodeParts } from '../party/parts.ts';
import { StoreError } from '../store/errors.ts';
import type { RecordStore } from '../store/port.ts';

/** The optimiser as it stands after a model was made. Released values only. */
export interface OptimiserState {
  readonly state: ServerState;
  /** Hash of the model before. */
  readonly from: string;
}

const TABLE = 'optimiser';

const metaField = z.strictObject({ round: z.int(), meanCount: z.number(), from: z.string() });

/**
 * The state kept for a model.
 *
 * @returns null where there is none, as for a first model.
 * @throws StoreError CORRUPT
 */
export async function readOptimiser(
  records: Pick<RecordStore, 'get'>,
  task: string,
  modelHash: string,
  model: Model,
): Promise<OptimiserState | null> {
  const kept = await records.get(TABLE, keyOf(task, modelHash));
  if (kept === undefined) return null;
  const [meta, velocity, spread, ...rest] = decodeParts(kept);
  const bytes = 4 * model.values.length;
  const parsed = metaField.safeParse(jsonOf(meta ?? new Uint8Array(0)));
  if (!parsed.success || velocity?.length !== bytes || spread?.length !== bytes || rest.length > 0) {
    throw new StoreError('CORRUPT', 'the record of an optimiser is not one');
  }
  const { round, meanCount, from } = parsed.data;
  return { state: { model, velocity: floatsOf(velocity), spread: floatsOf(spread), round, meanCount }, from };
}

const floatsOf = (bytes: Uint8Array): Float32Array => new Float32Array(bytes.slice().buffer);

const bytesOf = (values: Float32Array): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** Undefined, which no schema takes, for bytes that are no JSON. */
function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch {
    return undefined;
  }
}

/**
 * Keeps a state under its model's hash, durably. The predecessor's stays, for its step may be repeated.
 *
 * @param done - the model before the predecessor, whose state is deleted; null where there is none.
 */
export async function writeOptimiser(
  records: Pick<RecordStore, 'transact'>,
  task: string,
  modelHash: string,
  { state, from }: OptimiserState,
  done: string | null,
): Promise<void> {
  const { velocity, spread, round, meanCount } = state;
  const meta = utf8(JSON.stringify({ round, meanCount, from }));
  const parts = [meta, bytesOf(velocity), bytesOf(spread)];
  await records.transact(async (tx) => {
    await tx.put(TABLE, keyOf(task, modelHash), encodeParts(parts));
    if (done !== null) await tx.delete(TABLE, keyOf(task, done));
  });
}

function keyOf(task: string, modelHash: string): string {
  return `${task}\n${modelHash}`;
}
