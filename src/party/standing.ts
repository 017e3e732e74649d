import type { Party, Transcript } from '../../protocols/transcript.ts';
import type { PeerIdentity } from '../tls/identity.ts';

/**
 * Whether the log bars a caller, whatever its certificate says. Asked at every call, so that a revocation or an
 * enrolment takes effect on connections that are open already.
 *
 * A party of the log is barred when it was revoked, or calls with another TLS key, role or organisation than the log has for it:
 * the authority's word alone never replaces a key, nor gives a party the budgets of another organisation. A key that the log knows speaks for no other name, so a party that
 * was revoked does not come back under a new certificate for its old key. Names the log does not know pass: officers,
 * and parties whose enrolment this reader has not seen yet; the rules take no leaf of theirs.
 *
 * @param t - the log as the server sees it; null where it reads no leaves: nobody is barred then.
 */
export function isBarred(t: Transcript | null, peer: PeerIdentity): boolean {
  if (t === null) return false;
  // People and the invited are no parties of the log and may be called like one; a party's key is not theirs.
  const isParty = peer.role !== 'officer' && peer.role !== 'invited';
  const party = isParty ? t.parties.get(peer.name) : undefined;
  if (party === undefined) return t.keys.has(peer.spkiSha256);
  return party.revoked || party.tlsKeySha256 !== peer.spkiSha256 || !isSubject(party, peer);
}

/**
 * Whether a barred caller is a party in good standing that calls with a key which the log has replaced: it is told so, and need not
 * take it for its revocation.
 */
export function isReplaced(t: Transcript | null, peer: PeerIdentity): boolean {
  const party = t?.parties.get(peer.name);
  if (t === null || party === undefined || party.revoked || !isSubject(party, peer)) return false;
  return party.tlsKeySha256 !== peer.spkiSha256 && t.keys.has(peer.spkiSha256);
}

/** Whether a certificate says of a party what the log says. */
function isSubject(party: Party, peer: PeerIdentity): boolean {
  return party.role === peer.role && party.organisation === peer.organisation;
}
