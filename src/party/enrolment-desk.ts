import { bytesEqual, canonicalBytes, fromUtf8, type Json, toHex, utf8 } from '../../crypto/encoding.ts';
import { EnrolmentState } from '../../proto/gen/veilsum/v1/enrolment.ts';
import { isRejection, ProtocolError } from '../../protocols/errors.ts';
import { judge, verifyNext } from '../../protocols/rules.ts';
import { isKind } from '../../protocols/verified.ts';
import { implement } from '../grpc/handlers.ts';
import { EnrolmentService } from '../grpc/services.ts';
import { type CheckedRequest, checkRequest, type EnrolmentRequest } from '../keys/enrolment-request.ts';
import { EnrolmentError } from '../keys/errors.ts';
import { partyFields } from '../keys/found.ts';
import type { StoreReader } from '../store/port.ts';
import { chainToPem, checkChain } from '../tls/chain.ts';
import type { PeerIdentity } from '../tls/identity.ts';
import type { LogKeeper } from './log-keeper.ts';
import { decodeParts, encodeParts } from './parts.ts';
import { type Party, primitives } from './party.ts';

/** Both by the invitation's identifier: what was asked, written once, and what the founders said. */
const REQUESTS = 'enrolment-requests';
const OUTCOMES = 'enrolment-outcomes';
const PAGE = 50;

/** The founders' word on a request. An approval that is kept but not logged yet is logged at the next question. */
type Outcome =
  | { readonly state: 'declined' }
  | { readonly state: 'approved'; readonly leaf: Uint8Array; readonly certificates: readonly Uint8Array[] };

const encodeRequest = (r: EnrolmentRequest): Uint8Array => encodeParts([r.invitation, r.card, r.proof]);

function decodeRequest(bytes: Uint8Array): EnrolmentRequest {
  const [invitation, card, proof] = decodeParts(bytes);
  return { invitation: invitation!, card: card!, proof: proof! };
}

function encodeOutcome(outcome: Outcome): Uint8Array {
  const rest = outcome.state === 'approved' ? [outcome.leaf, ...outcome.certificates] : [];
  return encodeParts([utf8(outcome.state), ...rest]);
}

async function outcomeOf(records: StoreReader, id: string): Promise<Outcome | null> {
  const bytes = await records.get(OUTCOMES, id);
  if (bytes === undefined) return null;
  const [state, leaf, ...certificates] = decodeParts(bytes);
  return fromUtf8(state!) === 'declined' ? { state: 'declined' } : { state: 'approved', leaf: leaf!, certificates };
}

async function requestOf(records: StoreReader, id: string): Promise<EnrolmentRequest> {
  const bytes = await records.get(REQUESTS, id);
  if (bytes === undefined) throw new EnrolmentError('NO_SUCH_REQUEST', 'nobody has used this invitation');
  return decodeRequest(bytes);
}

/** The invitation's certificate belongs to the invitation: stolen alone, neither is of use. */
function checkCaller({ invitation }: CheckedRequest, peer: PeerIdentity): void {
  if (peer.name === invitation.name && peer.spkiSha256 === invitation.tlsKeySha256) return;
  throw new EnrolmentError('NOT_INVITED', 'the invitation came with another certificate');
}

/** The leaf enrols exactly the request's card, and the log would take it now. */
function checkLeaf(keeper: LogKeeper, { card, enrolled }: CheckedRequest, bytes: Uint8Array): void {
  const signed = verifyNext(primitives, keeper.transcript, bytes);
  if (isRejection(signed)) throw new ProtocolError(signed.rejected, signed.why);
  const wanted = canonicalBytes({ ...partyFields(card), possession: card.possession } as unknown as Json);
  if (!isKind(signed, 'enrol') || !bytesEqual(canonicalBytes(signed.leaf.body as unknown as Json), wanted)) {
    throw new EnrolmentError('NOT_THE_REQUEST', "the leaf enrols another party than the request's");
  }
  if (enrolled !== null) return; // it stands in the log already: this one brings newer certificates
  const verdict = judge(primitives, keeper.transcript, signed);
  if (isRejection(verdict)) throw new ProtocolError(verdict.rejected, verdict.why);
}

/**
 * Serves enrolment: keeps what invited parties ask and what the founders answer, and logs the leaves that these bring.
 * It holds neither root key nor authority, and what it keeps is public.
 *
 * @param now - ms since 1970: decides only whether an invitation is used in time.
 */
export function enrolmentDesk(party: Party, keeper: LogKeeper, now: () => number = Date.now) {
  const { records } = party.store;
  const { authority } = party.folder.federation;

  /** Keeps the request, first come, unless the invitation was called back before. The same one again is no second use. */
  const keep = (request: EnrolmentRequest, { id, expires }: CheckedRequest['invitation']): Promise<void> =>
    records.transact(async (tx) => {
      const bytes = encodeRequest(request);
      const kept = await tx.get(REQUESTS, id);
      if (kept === undefined) {
        if ((await outcomeOf(tx, id)) !== null)
          throw new EnrolmentError('INVITATION_REVOKED', 'the founders called the invitation back');
        if (now() > expires) throw new EnrolmentError('INVITATION_EXPIRED', 'the invitation is out of date');
        await tx.insert(REQUESTS, id, bytes);
        party.say('enrolment requested', { invitation: id });
      } else if (!bytesEqual(kept, bytes)) {
        throw new EnrolmentError(
          'INVITATION_USED',
          "the invitation was used already, with other keys: go on in the folder of that time, or ask the founders for a new one ('veilsum invite')",
        );
      }
    });

  /** Logs what was approved. @returns the leaf's index. */
  const log = async ({ enrolled }: CheckedRequest, leaf: Uint8Array): Promise<number> =>
    enrolled?.index ?? keeper.append(leaf);

  return implement(EnrolmentService, {
    enrol: async (request, { peer }) => {
      const checked = await checkRequest(primitives, keeper.transcript, request);
      checkCaller(checked, peer);
      const { invitation } = checked;
      await keep(request, invitation);
      const nothing = { certificates: [], leafIndex: 0n, checkpoint: new Uint8Array(0) };
      const outcome = await outcomeOf(records, invitation.id);
      if (outcome === null) return { state: EnrolmentState.ENROLMENT_STATE_PENDING, ...nothing };
      if (outcome.state === 'declined') return { state: EnrolmentState.ENROLMENT_STATE_DECLINED, ...nothing };
      const index = await log(checked, outcome.leaf);
      const head = keeper.log.published;
      if (head === undefined || head.checkpoint.size <= index)
        return { state: EnrolmentState.ENROLMENT_STATE_PENDING, ...nothing };
      return {
        state: EnrolmentState.ENROLMENT_STATE_ENROLLED,
        certificates: [...outcome.certificates],
        leafIndex: BigInt(index),
        checkpoint: head.note,
      };
    },

    listPending: async ({ afterId }) => {
      const decided = new Set((await records.list(OUTCOMES)).map(({ key }) => key));
      const after = toHex(afterId);
      const open = (await records.list(REQUESTS)).filter(({ key }) => key > after && !decided.has(key));
      const pending = open
        .slice(0, PAGE)
        .map(({ key, value }) => ({ id: Buffer.from(key, 'hex'), ...decodeRequest(value) }));
      return { pending, more: open.length > PAGE };
    },

    approve: async ({ id, leaf, certificates }) => {
      const key = toHex(id);
      const checked = await checkRequest(primitives, keeper.transcript, await requestOf(records, key));
      checkLeaf(keeper, checked, leaf);
      checkChain(chainToPem(certificates), authority, checked.card);
      await records.transact(async (tx) => {
        if ((await outcomeOf(tx, key))?.state === 'declined')
          throw new EnrolmentError('DECLINED', 'the request was declined: send a new invitation');
        await tx.put(OUTCOMES, key, encodeOutcome({ state: 'approved', leaf, certificates }));
      });
      return { leafIndex: BigInt(await log(checked, leaf)) };
    },

    decline: async ({ id }) => {
      // Of an invitation that nobody has used, too: it is dead from then on.
      if (id.length !== 32) throw new EnrolmentError('NO_SUCH_REQUEST', 'not the identifier of an invitation');
      const key = toHex(id);
      await records.transact(async (tx) => {
        if ((await outcomeOf(tx, key))?.state === 'approved')
          throw new EnrolmentError('ALREADY_APPROVED', 'the request was approved: revoke the party instead');
        await tx.put(OUTCOMES, key, encodeOutcome({ state: 'declined' }));
      });
      return {};
    },
  });
}
