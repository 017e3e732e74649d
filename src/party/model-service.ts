import { fromHex, toHex } from '../../crypto/encoding.ts';
import { isRejection, ProtocolError } from '../../protocols/errors.ts';
import { judge, verifyNext } from '../../protocols/rules.ts';
import { isKind } from '../../protocols/verified.ts';
import { sendBlob } from '../grpc/download.ts';
import { implement } from '../grpc/handlers.ts';
import { receiveUpload } from '../grpc/receive-upload.ts';
import { ModelService } from '../grpc/services.ts';
import { chunkSink, sourceOfBlob } from './chunk-sink.ts';
import type { LogKeeper } from './log-keeper.ts';
import { type Party, primitives } from './party.ts';

/** Takes sealed models from recipients, logs them, and hands them to nodes by hash. It cannot read them. */
export function modelService(party: Party, keeper: LogKeeper) {
  const { store } = party;
  return implement(ModelService, {
    put: receiveUpload(chunkSink(store), {
      admit: async ({ leaf, sealedBytes }, { peer }) => {
        const signed = verifyNext(primitives, keeper.transcript, leaf);
        if (isRejection(signed)) throw new ProtocolError(signed.rejected, signed.why);
        if (!isKind(signed, 'model') || signed.leaf.actor !== peer.name)
          throw new ProtocolError('WRONG_ROLE', 'not a model leaf of the caller');
        const { sealedHash } = signed.leaf.body;
        const known = keeper.transcript.models.some((model) => model.sealedHash === sealedHash);
        const verdict = known ? null : judge(primitives, keeper.transcript, signed);
        if (isRejection(verdict)) throw new ProtocolError(verdict.rejected, verdict.why);
        await store.uploads.begin(`model/${sealedHash}`, { lengthBytes: Number(sealedBytes), hash: sealedHash });
        return { id: `model/${sealedHash}`, lengthBytes: Number(sealedBytes), hash: fromHex(sealedHash, 32) };
      },
      complete: async (_announced, { leaf }) => ({ leafIndex: BigInt(await keeper.append(leaf)) }),
    }),
    get: async function* ({ sealedHash, offsetBytes }) {
      using reader = await store.blobs.open(toHex(sealedHash));
      yield* sendBlob(sourceOfBlob(reader), offsetBytes);
    },
  });
}
