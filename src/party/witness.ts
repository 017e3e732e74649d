import { openParty, serve } from './party.ts';
import type { Running } from './running.ts';
import { witnessing } from './witnessing.ts';

/** Runs an outside witness: it cosigns heads that extend the last one it cosigned, and keeps nothing else. */
export async function runWitness(folder: string, listen?: string): Promise<Running> {
  const party = await openParty(folder, undefined, listen);
  const server = await serve(
    party,
    [witnessing(party)],
    () => 0,
    () => null,
  );
  return {
    address: server.address,
    stop: async () => {
      await server.stop();
      await party.store[Symbol.asyncDispose]();
    },
  };
}
