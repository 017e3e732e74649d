import type { Endpoint } from '../config/federation.ts';
import { Connection } from '../grpc/connection.ts';
import { PartyService } from '../grpc/services.ts';
import type { Caller } from './caller.ts';

const ASK_MS = 3000;

/** Asks every member and witness whether it runs. @returns those that did not answer. */
async function silent({ federation, tls }: Caller): Promise<string[]> {
  const { members, witnesses } = federation;
  const answers = async ({ address, tlsKeySha256 }: Endpoint, role: 'member' | 'witness'): Promise<boolean> => {
    const connection = new Connection({ address, tls, expected: { pins: [tlsKeySha256], role } });
    try {
      await connection.callOnce(PartyService.status, {}, ASK_MS);
      return true;
    } catch {
      return false;
    } finally {
      connection.close();
    }
  };
  const all = [
    ...members.map((party) => ({ party, role: 'member' as const })),
    ...witnesses.map((party) => ({ party, role: 'witness' as const })),
  ];
  const up = await Promise.all(all.map(({ party, role }) => answers(party, role)));
  return all.filter((_, i) => !up[i]).map(({ party, role }) => `${party.name} (${role}, ${party.address})`);
}

/** Why a log has no cosigned head, and what to do about it. */
export async function whyNoHead(caller: Caller): Promise<string> {
  const { needed, witnesses } = caller.genesis.cosigning;
  const missing = await silent(caller);
  const start = 'the log has no cosigned head yet, and nothing is read or added before it has one';
  const rule = `${needed} of the ${witnesses} members and witnesses must run`;
  return missing.length === 0
    ? `${start}: ${rule}; all of them answer now, so try again in a moment`
    : `${start}: ${rule}; not answering: ${missing.join(', ')}`;
}
