import { DOMAIN } from '../crypto/domain.ts';
import { canonicalBytes, fromBase64, type Json } from '../crypto/encoding.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { verify } from '../crypto/signature.ts';
import { type Rejection, reject } from './errors.ts';
import type { Body } from './leaves.ts';
import type { Patch } from './patch.ts';
import { checkQuorumSize } from './quorum-size.ts';
import { findParty, isOver, type Transcript } from './transcript.ts';
import type { Signed } from './verified.ts';

/** A quorum that is to follow the present one. */
export type QuorumChange = Pick<Body<'quorum'>, 'number' | 'members' | 'threshold'>;

/** What a member signs to approve a change: the log, and every word of it. */
export function approvalBytes(log: string, { number, members, threshold }: QuorumChange): Uint8Array {
  return canonicalBytes({ log, number, members, threshold } as unknown as Json);
}

/**
 * Why a change could not be made now, whoever approved it; null when it could. Between rounds only: a round keeps the
 * quorum of its record, and a decision must never wait for members that have left.
 */
export function checkChange(t: Transcript, change: QuorumChange): Rejection | null {
  const { number, members, threshold } = change;
  const refuse = (why: string): Rejection => reject('QUORUM_MISMATCH', why);
  if (number !== t.quorum.number + 1) return refuse('changes of the quorum are counted, one after the other');
  if (new Set(members).size !== members.length) return reject('DUPLICATE_NAME', 'a member is named twice');
  for (const name of members) {
    const party = findParty(t, name);
    if (party === null || party.role !== 'member') return refuse('every member must be enrolled as one');
    if (party.revoked) return reject('REVOKED', 'a member of the new quorum was revoked');
  }
  const size = checkQuorumSize(members.length, threshold);
  if (size !== null) return refuse(size);
  if (threshold - 1 > t.genesis!.cosigning.faulty)
    return refuse('the cosigning rule of genesis must carry t-1 corrupt witnesses: choose a smaller threshold');
  for (const round of t.rounds.values()) {
    if (!isOver(t, round)) return reject('ROUND_RUNNING', 'the quorum changes between rounds');
  }
  return null;
}

/** Whether a member of the present quorum has signed for the change. */
export function isApproval(
  p: Primitives,
  t: Transcript,
  change: QuorumChange,
  { member, signature }: Body<'quorum'>['approvals'][number],
): boolean {
  const party = findParty(t, member);
  if (party === null || party.revoked || !t.quorum.members.includes(member)) return false;
  const bytes = approvalBytes(t.logId, change);
  return verify(p, fromBase64(party.key), DOMAIN.quorumChange, bytes, fromBase64(signature));
}

/**
 * Members join and leave: the root key proposes, t members of the present quorum approve. As many could open rounds
 * together, so a change gives nobody what t of them could not take. Who cosigns the log stays as genesis has it.
 */
export function quorumRule(p: Primitives, t: Transcript, { leaf }: Signed<'quorum'>): Patch | Rejection {
  const { body } = leaf;
  if (leaf.actor !== 'root') return reject('WRONG_ROLE', 'only the root key changes the quorum');
  const problem = checkChange(t, body);
  if (problem !== null) return problem;
  const approvers = body.approvals.map(({ member }) => member);
  if (new Set(approvers).size !== approvers.length) return reject('NOT_APPROVED', 'a member approved twice');
  if (!body.approvals.every((approval) => isApproval(p, t, body, approval)))
    return reject('NOT_APPROVED', 'an approval is not of a present member, or not of this change');
  if (approvers.length < t.quorum.threshold)
    return reject('NOT_APPROVED', 'fewer members approved than the present threshold');
  return { quorum: { number: body.number, members: body.members, threshold: body.threshold } };
}
