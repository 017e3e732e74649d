import { toHex } from '../../crypto/encoding.ts';
import type { PendingEnrolment } from '../../proto/gen/veilsum/v1/enrolment.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { EnrolmentService } from '../grpc/services.ts';
import { type CheckedRequest, checkRequest } from '../keys/enrolment-request.ts';
import { certify, enrolLeaf, readAuthority } from '../keys/found.ts';
import { isRevoked, markRevoked } from '../keys/invitation-register.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { chainToDer } from '../tls/chain.ts';
import { asking, type Caller, openCaller, readLogOnce, requireOfficer } from './caller.ts';
import { CliError } from './exit.ts';
import { fingerprint } from './federation-file.ts';

/** A request as the founders see it: checked here, since the coordinator only forwards it. */
type Seen =
  | { readonly id: string; readonly checked: CheckedRequest; readonly why: null }
  | { readonly id: string; readonly checked: null; readonly why: string };

export async function fetchPending({ coordinator }: Caller): Promise<PendingEnrolment[]> {
  const all: PendingEnrolment[] = [];
  for (let more = true; more; ) {
    const afterId = all.at(-1)?.id ?? new Uint8Array(0);
    const page = await asking('the coordinator', coordinator, () =>
      coordinator.call(EnrolmentService.listPending, { afterId }),
    );
    all.push(...page.pending);
    more = page.more && page.pending.length > 0;
  }
  return all;
}

async function check(t: Transcript, pending: PendingEnrolment): Promise<Seen> {
  const id = toHex(pending.id);
  try {
    const checked = await checkRequest(nodePrimitives, t, pending);
    if (checked.invitation.id === id) return { id, checked, why: null };
    return { id, checked: null, why: 'the coordinator calls it by another name than it has' };
  } catch (error) {
    return { id, checked: null, why: (error as Error).message };
  }
}

async function readPending(caller: Caller): Promise<Seen[]> {
  const { transcript } = await readLogOnce(caller);
  return Promise.all((await fetchPending(caller)).map((pending) => check(transcript, pending)));
}

/** Prints what waits, with what a person compares before saying yes. */
export async function listPending(folder: string, say: (line: string) => void): Promise<void> {
  const caller = await openCaller(folder);
  requireOfficer(caller, 'enrolling');
  const pending = await readPending(caller);
  if (pending.length === 0) say('Nothing waits: whoever was invited has not asked, or was answered.');
  for (const { id, checked, why } of pending) {
    const short = id.slice(0, 16);
    if (checked === null) say(`${short}: not to be approved: ${why}`);
    else {
      const { name, role, organisation, region, address, key } = checked.card;
      say(
        `${name}  ${role} of ${organisation}, ${region}, at ${address}\n  key ${fingerprint(key)}\n  request ${short}`,
      );
    }
  }
}

function find(pending: readonly Seen[], name: string): CheckedRequest {
  const found = pending.filter(({ checked }) => checked?.card.name === name);
  if (found.length === 1) return found[0]!.checked!;
  if (found.length > 1)
    throw new CliError('AMBIGUOUS', `${name} was invited twice, and both invitations were used: decline by identifier`);
  throw new CliError(
    'NO_SUCH_REQUEST',
    `no request of ${name} that could be approved waits: see 'veilsum enrol --pending'`,
  );
}

/** The root key signs the enrolment, the authority certifies the key, and the coordinator gets both. */
export async function approvePending(
  folder: string,
  names: readonly string[],
  say: (line: string) => void,
): Promise<void> {
  const caller = await openCaller(folder);
  requireOfficer(caller, 'enrolling');
  const pending = await readPending(caller);
  const authority = await readAuthority(folder);
  for (const name of names) {
    const { invitation, card } = find(pending, name);
    if (isRevoked(folder, invitation.id))
      throw new CliError('INVITATION_REVOKED', `the invitation of ${name} was called back: decline the request`);
    const leaf = enrolLeaf(nodePrimitives, folder, caller.federation, card, Date.now());
    const certificates = chainToDer(await certify(authority, card, new Date()));
    const request = { id: Buffer.from(invitation.id, 'hex'), leaf, certificates };
    const { leafIndex } = await asking('the coordinator', caller.coordinator, () =>
      caller.coordinator.call(EnrolmentService.approve, request),
    );
    say(`${name}: enrolled as ${card.role} (leaf ${leafIndex}); it fetches its certificate itself`);
  }
}

/** @param wanted - names, or (the beginning of) identifiers of requests that cannot be approved. */
export async function declinePending(
  folder: string,
  wanted: readonly string[],
  say: (line: string) => void,
): Promise<void> {
  const caller = await openCaller(folder);
  requireOfficer(caller, 'enrolling');
  const pending = await readPending(caller);
  for (const which of wanted) {
    const byId = pending.filter(({ id }) => which.length >= 8 && id.startsWith(which));
    const id = byId.length === 1 ? byId[0]!.id : find(pending, which).invitation.id;
    markRevoked(folder, id, Date.now());
    await asking('the coordinator', caller.coordinator, () =>
      caller.coordinator.call(EnrolmentService.decline, { id: Buffer.from(id, 'hex') }),
    );
    say(`${which}: declined; its invitation is used up`);
  }
}
