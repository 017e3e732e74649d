import { DOMAIN } from '../../crypto/domain.ts';
import { canonicalBytes, fromBase64, type Json } from '../../crypto/encoding.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import type { SecretBytes } from '../../crypto/secret.ts';
import { infoWithLabel, sign, verify } from '../../crypto/signature.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import { checkEnrolBody } from '../../protocols/rules-register.ts';
import type { Party, Transcript } from '../../protocols/transcript.ts';
import { keyOfRequest } from '../tls/authority.ts';
import { TlsError } from '../tls/errors.ts';
import { spkiPinOf } from '../tls/identity.ts';
import { type Card, cardField } from './card.ts';
import { EnrolmentError } from './errors.ts';
import { partyFields } from './found.ts';
import { type CheckedInvitation, checkInvitation, parseJson } from './invitation.ts';

/** Longest card, in bytes. */
const MAX_CARD_BYTES = 16_384;

/** What an invited party sends: public, and bound to the token without showing it. */
export interface EnrolmentRequest {
  readonly invitation: Uint8Array;
  readonly card: Uint8Array;
  readonly proof: Uint8Array;
}

function provenBytes({ invitation, card }: Pick<EnrolmentRequest, 'invitation' | 'card'>): Uint8Array {
  return infoWithLabel(DOMAIN.invitationUse, invitation, card);
}

/** Uses an invitation for a card. The same card gives the same bytes, so that a repeated request is recognised. */
export function makeRequest(p: Primitives, invitation: Uint8Array, card: Card, token: SecretBytes): EnrolmentRequest {
  const bytes = { invitation, card: canonicalBytes(card as unknown as Json) };
  return { ...bytes, proof: sign(p, token, DOMAIN.invitationUse, provenBytes(bytes)) };
}

/** A request that holds together, and the party that the log has of it already. */
export interface CheckedRequest {
  readonly invitation: CheckedInvitation;
  readonly card: Card & { readonly possession: string };
  readonly enrolled: Party | null;
}

/**
 * Everything about a request that needs no trust in who forwards it. The coordinator checks it when the request comes,
 * the founders' command again before the root key signs.
 *
 * @throws ProtocolError for what is malformed or what the log's rules would refuse, EnrolmentError NOT_INVITED,
 *   WRONG_TOKEN, TlsError BAD_REQUEST, PIN_MISMATCH.
 */
export async function checkRequest(p: Primitives, t: Transcript, request: EnrolmentRequest): Promise<CheckedRequest> {
  // 1. The root key invited, to this federation.
  const invitation = checkInvitation(p, t.logId, t.genesis!.rootKey, request.invitation);
  // 2. Whoever asks holds the token, and chose this card.
  const proven = provenBytes(request);
  if (!verify(p, fromBase64(invitation.token), DOMAIN.invitationUse, proven, request.proof)) {
    throw new EnrolmentError('WRONG_TOKEN', "the request is not signed with the invitation's token");
  }
  // 3. The card is the invited party's.
  const card = parseCard(request.card);
  const { name, role, organisation, region } = invitation;
  if (card.name !== name || card.role !== role || card.organisation !== organisation || card.region !== region) {
    throw new EnrolmentError('NOT_INVITED', 'the invitation is for another name, role, organisation or region');
  }
  // 4. Its keys were drawn by the party: those of the invitation passed through the founders' hands.
  if (card.key === invitation.token || card.tlsKeySha256 === invitation.tlsKeySha256) {
    throw new ProtocolError('BAD_KEY', 'the keys of an invitation are never those of a party');
  }
  // 5. It holds the TLS key that it names.
  if (spkiPinOf(await keyOfRequest(requestOf(card))) !== card.tlsKeySha256) {
    throw new TlsError('PIN_MISMATCH', "the certificate request is for another key than the card's");
  }
  // 6. The log would take it: name and keys are new, and the party signed for them. Or the log has it.
  const enrolled = enrolledAs(t, card);
  if (enrolled?.revoked) throw new ProtocolError('REVOKED', 'the party was revoked: it needs new keys and a new name');
  if (card.possession === null) throw new ProtocolError('NO_POSSESSION', 'the card is not signed for this log');
  const signed = { ...card, possession: card.possession };
  if (enrolled === null) {
    const problem = checkEnrolBody(p, t, { ...partyFields(card), role, possession: card.possession });
    if (problem !== null) throw new ProtocolError(problem.rejected, problem.why);
  }
  return { invitation, card: signed, enrolled };
}

/** The party of the log that has the card's name and all its keys. */
function enrolledAs(t: Transcript, card: Card): Party | null {
  const party = t.parties.get(card.name);
  if (party === undefined) return null;
  const same = party.key === card.key && party.kemKey === card.kemKey && party.tlsKeySha256 === card.tlsKeySha256;
  return same && party.role === card.role ? party : null;
}

function parseCard(bytes: Uint8Array): Card {
  const parsed = cardField.safeParse(parseJson(bytes, MAX_CARD_BYTES, 'the card'));
  if (parsed.success) return parsed.data;
  throw new ProtocolError('MALFORMED', 'not a card with exactly its fields');
}

function requestOf(card: Card): Uint8Array {
  try {
    return fromBase64(card.request);
  } catch (cause) {
    throw new ProtocolError('MALFORMED', 'the certificate request is not canonical base64', { cause });
  }
}
