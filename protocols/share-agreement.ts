import type { ShareClaims } from '../crypto/share-claims.ts';
import { heldBy, subsets } from '../crypto/sharing.ts';
import type { RoundRecord } from './record.ts';
import type { Decision } from './transcript.ts';

/**
 * What the members logged before they answered, by index of member and set.
 *
 * @param without - members that are left out.
 */
export function shareClaims(record: RoundRecord, decision: Decision, without: readonly string[] = []): ShareClaims {
  const sets = subsets(record.parameters.members, record.parameters.threshold);
  const claims = new Map<number, ReadonlyMap<number, string>>();
  for (const [member, { name }] of record.members.entries()) {
    const answer = decision.answers.get(name);
    if (answer === undefined || without.includes(name)) continue;
    claims.set(member, new Map(heldBy(sets, member).map((set, place) => [set, answer.body.shares[place]!])));
  }
  return claims;
}
