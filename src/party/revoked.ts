import { TransportError } from '../grpc/errors.ts';
import type { Party } from './party.ts';

/** Whether the coordinator ended the log for this party because it is revoked. Its word, over a pinned connection. */
function isRevocation(failure: Error): boolean {
  return failure instanceof TransportError && failure.remote && failure.code === 'CERTIFICATE_REVOKED';
}

/**
 * Wipes every round secret of a party that is told that it was revoked: it will never read how its rounds end. A coordinator
 * that says so without cause gains no more than by not answering: a round that this party's secrets are missing from.
 * What the party was charged, and the ciphertexts that nobody has a key for, stay.
 *
 * @param failure - what ended the party's reading of the log. @returns whether it was that.
 */
export function wipeIfRevoked(party: Party, failure: Error): boolean {
  if (!isRevocation(failure)) return false;
  const rounds = party.rounds.held;
  for (const round of rounds) party.rounds.forget(round);
  party.say('revoked', {
    code: 'CERTIFICATE_REVOKED',
    wiped: rounds.length,
    why: 'this party was revoked, or calls with another TLS key than it was enrolled with: its round secrets are wiped, it does nothing more; stop it',
  });
  return true;
}
