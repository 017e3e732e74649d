import { concat, toHex, u64be, utf8 } from '../../crypto/encoding.ts';
import { formatSignatures } from '../../crypto/note.ts';
import { isRejection, ProtocolError } from '../../protocols/errors.ts';
import { checkHead, cosignHead, newWitness, type WitnessState } from '../../protocols/witness.ts';
import { type Implementation, implement } from '../grpc/handlers.ts';
import { WitnessService } from '../grpc/services.ts';
import { type Party, primitives, witnessSigner } from './party.ts';

const TABLE = 'witness';

function encode(state: WitnessState): Uint8Array {
  return concat(u64be(state.size), state.root);
}

function decode(bytes: Uint8Array): WitnessState {
  return { size: Number(new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0)), root: bytes.slice(8) };
}

/**
 * The witness service of a member or an outside witness. Checking and storing the new head is one transaction, and the
 * cosignature is made after it is durable: two heads of one size are never both cosigned, also not across a crash.
 */
export function witnessing(party: Party): Implementation {
  const signer = witnessSigner(party);
  return implement(WitnessService, {
    addCheckpoint: async ({ oldSize, consistencyProof, checkpoint }) => {
      const request = { oldSize: Number(oldSize), proof: consistencyProof, note: checkpoint };
      const outcome = await party.store.records.transact(async (tx) => {
        const kept = await tx.get(TABLE, party.genesis.origin);
        const state = kept === undefined ? newWitness(primitives) : decode(kept);
        const next = checkHead(primitives, party.policy, state, request);
        if (isRejection(next)) return { state, refusal: next };
        await tx.put(TABLE, party.genesis.origin, encode(next));
        return { state: next, refusal: null };
      });
      const knownSize = BigInt(outcome.state.size);
      if (outcome.refusal?.rejected === 'STALE_ATTEMPT') return { cosignatures: [], knownSize };
      if (outcome.refusal !== null) {
        party.say('checkpoint refused', {
          code: outcome.refusal.rejected,
          size: outcome.state.size,
          root: toHex(outcome.state.root),
        });
        throw new ProtocolError(outcome.refusal.rejected, outcome.refusal.why);
      }
      const line = cosignHead(primitives, signer, checkpoint, Math.floor(Date.now() / 1000));
      return { cosignatures: [utf8(formatSignatures([line]))], knownSize };
    },
  });
}
