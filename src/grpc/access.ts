import type { PeerIdentity, TlsRole } from '../tls/identity.ts';
import { TransportError } from './errors.ts';
import type { RpcPath } from './services.ts';

/** A role, or `self`: the caller's TLS key is the server's own. */
export type Caller = TlsRole | 'self';

const PARTIES = ['node', 'aggregator', 'member', 'coordinator', 'recipient', 'witness', 'officer'] as const;

/**
 * Who may call what. The one table: the server asks nothing else, an RPC without a row does not compile, and a server
 * does not start with one. It is the outer wall only: every leaf's signature and role are checked again by the rules.
 */
export const ACCESS = {
  '/veilsum.v1.EnrolmentService/Enrol': ['invited'],
  '/veilsum.v1.EnrolmentService/ListPending': ['officer'],
  '/veilsum.v1.EnrolmentService/Approve': ['officer'],
  '/veilsum.v1.EnrolmentService/Decline': ['officer'],
  '/veilsum.v1.LogService/Append': ['node', 'aggregator', 'member', 'coordinator', 'recipient', 'officer'],
  '/veilsum.v1.LogService/Follow': PARTIES,
  '/veilsum.v1.LogService/GetCheckpoint': PARTIES,
  '/veilsum.v1.WitnessService/AddCheckpoint': ['coordinator'],
  '/veilsum.v1.RoundService/Open': ['officer'],
  '/veilsum.v1.RoundService/List': PARTIES,
  '/veilsum.v1.RoundService/Abort': ['officer'],
  '/veilsum.v1.AggregationService/UploadStatus': ['node'],
  '/veilsum.v1.AggregationService/Upload': ['node'],
  '/veilsum.v1.AggregationService/Confirm': ['node'],
  '/veilsum.v1.AggregationService/Reseal': ['node'],
  '/veilsum.v1.AggregationService/FetchBoxes': ['member', 'recipient'],
  '/veilsum.v1.AggregationService/Sum': ['coordinator'],
  '/veilsum.v1.AggregationService/FetchSum': ['recipient'],
  '/veilsum.v1.AggregationService/FetchMaskSum': ['coordinator', 'recipient'],
  '/veilsum.v1.AggregationService/FetchCorrection': ['recipient'],
  '/veilsum.v1.QuorumService/PutAnswer': ['member'],
  '/veilsum.v1.QuorumService/FetchAnswers': ['recipient'],
  '/veilsum.v1.ModelService/Put': ['recipient'],
  '/veilsum.v1.ModelService/Get': ['node', 'recipient'],
  '/veilsum.v1.ResultService/Fetch': ['self'],
  '/veilsum.v1.MatchingService/GetKey': ['node'],
  '/veilsum.v1.MatchingService/Evaluate': ['node'],
  '/veilsum.v1.PartyService/Status': PARTIES,
} as const satisfies Record<RpcPath, readonly Caller[]>;

/** Rows by path; what is not in it is refused. */
export type AccessTable = Readonly<Record<string, readonly Caller[]>>;

/**
 * @param ownSpki - the server's own pin, for `self`.
 * @throws TransportError ROLE_REFUSED, also for a path without a row.
 */
export function checkAccess(table: AccessTable, path: string, peer: PeerIdentity, ownSpki: string): void {
  const callers = Object.hasOwn(table, path) ? table[path]! : [];
  const isAllowed = callers.some((caller) => (caller === 'self' ? peer.spkiSha256 === ownSpki : caller === peer.role));
  if (!isAllowed) throw new TransportError('ROLE_REFUSED', 'this role may not make this call');
}
