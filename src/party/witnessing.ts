import { toHex, utf8 } from '../../crypto/encoding.ts';
import { formatSignatures } from '../../crypto/note.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import { checkHead, cosignHead } from '../../protocols/witness.ts';
import { type Implementation, implement } from '../grpc/handlers.ts';
import { WitnessService } from '../grpc/services.ts';
import { WitnessHeads } from '../log/witness-heads.ts';
import { type Party, primitives, witnessSigner } from './party.ts';

/** The witness service of a member or an outside witness: `WitnessHeads` for the one log of its federation. */
export function witnessing(party: Party): Implementation {
  const signer = witnessSigner(party);
  const heads = new WitnessHeads(primitives, party.store.records);
  return implement(WitnessService, {
    addCheckpoint: async ({ oldSize, consistencyProof, checkpoint }) => {
      const request = { oldSize: Number(oldSize), proof: consistencyProof, note: checkpoint };
      const { held, refusal } = await heads.advance(
        party.genesis.origin,
        (state) => checkHead(primitives, party.policy, state, request),
        null,
      );
      const { state } = held;
      const knownSize = BigInt(state.size);
      if (refusal?.rejected === 'STALE_ATTEMPT') return { cosignatures: [], knownSize };
      if (refusal !== null) {
        party.say('checkpoint refused', { code: refusal.rejected, size: state.size, root: toHex(state.root) });
        throw new ProtocolError(refusal.rejected, refusal.why);
      }
      const line = cosignHead(primitives, signer, checkpoint, Math.floor(Date.now() / 1000));
      return { cosignatures: [utf8(formatSignatures([line]))], knownSize };
    },
  });
}
