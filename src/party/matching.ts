import { type Implementation, implement } from '../grpc/handlers.ts';
import { MatchingService } from '../grpc/services.ts';
import { MatchingHolder } from '../matching/holder.ts';
import { signHolderKey } from '../matching/key-set.ts';
import { type Party, primitives, rng } from './party.ts';

/** The matching service of a member. @param budget - elements per organisation and key; 0 answers nobody. */
export function matching(party: Party, budget: number): Implementation {
  const { name, path: folder, store } = party;
  const { federation, identity } = party.folder;
  const holder = new MatchingHolder({ primitives, rng, folder, records: store.records, budget });
  return implement(MatchingService, {
    getKey: async () => {
      const publicKey = await holder.publicKey();
      return { publicKey, signature: signHolderKey(primitives, identity, federation.genesisHash, name, publicKey) };
    },
    evaluate: async ({ publicKey, blinded }, { peer }) => {
      const { elements, proof, spent } = await holder.evaluate(peer.organisation, publicKey, blinded);
      return { evaluated: [...elements], proof, spent: BigInt(spent), budget: BigInt(budget) };
    },
  });
}
