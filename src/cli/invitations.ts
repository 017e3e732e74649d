import { EnrolmentService } from '../grpc/services.ts';
import type { CheckedInvitation } from '../keys/invitation.ts';
import { type KeptInvitation, listInvitations, markRevoked } from '../keys/invitation-register.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { asking, type Caller, openCaller, readLogOnce, requireOfficer } from './caller.ts';
import { fetchPending } from './enrolment-pending.ts';
import { CliError } from './exit.ts';

/** What became of an invitation; `unused or asked` where the coordinator could not be asked. */
export type InvitationState = 'open' | 'asked' | 'enrolled' | 'revoked' | 'expired' | 'unused or asked';

function read({ folder, federation, genesis }: Caller): KeptInvitation[] {
  return listInvitations(nodePrimitives, folder, federation.genesisHash, genesis.rootKey);
}

/** Who has asked and who is enrolled; null when the coordinator does not answer. */
async function ask(caller: Caller): Promise<{ asked: ReadonlySet<string>; enrolled: ReadonlySet<string> } | null> {
  try {
    const pending = await fetchPending(caller);
    const { transcript } = await readLogOnce(caller);
    return {
      asked: new Set(pending.map(({ id }) => Buffer.from(id).toString('hex'))),
      enrolled: new Set(transcript.parties.keys()),
    };
  } catch (error) {
    if (error instanceof CliError && (error.code === 'UNREACHABLE' || error.code === 'DEADLINE')) return null;
    throw error;
  }
}

function stateOf({ invitation, revoked }: KeptInvitation, known: Awaited<ReturnType<typeof ask>>): InvitationState {
  if (known?.enrolled.has(invitation.name)) return 'enrolled';
  if (revoked !== null) return 'revoked';
  if (known?.asked.has(invitation.id)) return 'asked';
  if (Date.now() > invitation.expires) return 'expired';
  return known === null ? 'unused or asked' : 'open';
}

const line = ({ name, role, organisation, expires, id }: CheckedInvitation, state: string): string =>
  `${name}  ${role} of ${organisation}  ${state}  until ${new Date(expires).toISOString()}  ${id.slice(0, 16)}`;

/** Prints the invitations that somebody can still use or has used without an answer. @param all - the others too. */
export async function printInvitations(folder: string, all: boolean, say: (line: string) => void): Promise<void> {
  const caller = await openCaller(folder);
  requireOfficer(caller, 'listing invitations');
  try {
    const kept = read(caller);
    const known = kept.length === 0 ? null : await ask(caller);
    const shown = kept
      .map((entry) => ({ entry, state: stateOf(entry, known) }))
      .filter(({ state }) => all || !['enrolled', 'revoked', 'expired'].includes(state));
    if (kept.length > 0 && known === null)
      say('The coordinator does not answer: who has asked or is enrolled is unknown.');
    if (shown.length === 0) say(all ? 'No invitation was written from this folder.' : 'No invitation is open.');
    for (const { entry, state } of shown) say(line(entry.invitation, state));
  } finally {
    caller.coordinator.close();
  }
}

function find(kept: readonly KeptInvitation[], which: string): CheckedInvitation {
  const found = kept.filter(
    ({ invitation: { name, id } }) => name === which || (which.length >= 8 && id.startsWith(which)),
  );
  const open = found.filter(({ invitation, revoked }) => revoked === null && Date.now() <= invitation.expires);
  const candidates = open.length > 0 ? open : found;
  if (candidates.length === 1) return candidates[0]!.invitation;
  if (candidates.length > 1)
    throw new CliError(
      'AMBIGUOUS',
      `${which} was invited more than once: give the identifier that 'invite list' shows`,
    );
  throw new CliError(
    'NOT_INVITED',
    `no invitation of ${which} was written from this folder: see 'veilsum invite list --all'`,
  );
}

/**
 * Calls invitations back: noted here first, so that this folder enrols nobody with them any more, then told to the
 * coordinator, who refuses them from then on.
 *
 * @param wanted - names, or (the beginning of) identifiers.
 */
export async function revokeInvitations(
  folder: string,
  wanted: readonly string[],
  say: (line: string) => void,
): Promise<void> {
  const caller = await openCaller(folder);
  requireOfficer(caller, 'calling an invitation back');
  try {
    const kept = read(caller);
    for (const { id, name } of wanted.map((which) => find(kept, which))) {
      markRevoked(folder, id, Date.now());
      await asking('the coordinator', caller.coordinator, () =>
        caller.coordinator.call(EnrolmentService.decline, { id: Buffer.from(id, 'hex') }),
      );
      say(`${name}: the invitation ${id.slice(0, 16)} is dead`);
    }
  } finally {
    caller.coordinator.close();
  }
}
