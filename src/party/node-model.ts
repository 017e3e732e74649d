import { fromHex } from '../../crypto/encoding.ts';
import { isRejection, ProtocolError } from '../../protocols/errors.ts';
import { openModel, sealedModelBytesMax } from '../../protocols/model-box.ts';
import type { Round } from '../../protocols/transcript.ts';
import { download } from '../grpc/download.ts';
import { ModelService } from '../grpc/services.ts';
import type { LogReader } from './log-reader.ts';
import { type Party, primitives } from './party.ts';

/** A model that is sealed to this party, from its own store or the coordinator, checked against the log. */
export async function fetchModel(party: Party, log: LogReader, modelHash: string): Promise<Uint8Array> {
  const entry = log.transcript.models.findLast((model) => model.modelHash === modelHash);
  if (entry === undefined) throw new ProtocolError('UNKNOWN_MODEL', 'the log names no such model');
  const { blobs } = party.store;
  if (!(await blobs.has(entry.sealedHash))) {
    const chunks: Uint8Array[] = [];
    const request = (offsetBytes: bigint) => ({ sealedHash: fromHex(entry.sealedHash, 32), offsetBytes });
    const options = { maxBytes: sealedModelBytesMax(entry.modelBytes) };
    await download([party.coordinator], ModelService.get, request, (chunk) => void chunks.push(chunk), options);
    const { hash } = await blobs.put(chunks);
    if (hash !== entry.sealedHash) throw new ProtocolError('MODEL_MISMATCH', 'the coordinator sent another model');
  }
  const sealed = await blobs.get(entry.sealedHash);
  const opened = openModel(primitives, party.folder.kem!, log.transcript.logId, party.name, sealed, modelHash);
  if (isRejection(opened)) throw new ProtocolError(opened.rejected, opened.why);
  return opened;
}

/** The round's model; null, and said, where it was sealed before this node was enrolled. */
export async function modelOrNull(party: Party, log: LogReader, round: Round): Promise<Uint8Array | null> {
  try {
    return await fetchModel(party, log, round.record.modelHash);
  } catch (error) {
    if (!(error instanceof ProtocolError && error.code === 'UNKNOWN_MODEL')) throw error;
    const why = 'enrolled after this model was sealed: the node takes part from the next model on';
    party.say('waits for the next model', { round: round.record.number, model: round.record.modelNumber, why });
    return null;
  }
}
