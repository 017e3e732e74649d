import { afterAll, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { approvePending } from '../../src/cli/enrolment-pending.ts';
import { printInvitations, revokeInvitations } from '../../src/cli/invitations.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { EnrolmentDoor } from './enrolment-lab.ts';
import { codeOf } from './parties.ts';

/** What a control leaves out: the module is replaced here. */
const without = vi.hoisted(() => ({ register: false }));

vi.mock('../../src/keys/invitation-register.ts', async (original) => {
  const real = await original<typeof import('../../src/keys/invitation-register.ts')>();
  const isRevoked: typeof real.isRevoked = (...args) => !without.register && real.isRevoked(...args);
  return { ...real, isRevoked };
});

let lab: FederationLab;
let door: EnrolmentDoor;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes: ['eu-1'], absent: ['eu-1', 'owner', 'aggregator-2'] });
  await lab.log.until((t) => t.parties.has('eu-1'));
  door = await EnrolmentDoor.open(lab);
});
afterAll(() => lab[Symbol.asyncDispose]());
beforeEach(() => {
  without.register = false;
});

const quiet = (): void => {};

async function listed(all = false): Promise<string[]> {
  const lines: string[] = [];
  await printInvitations(door.founders, all, (line) => void lines.push(line));
  return lines.map((line) => line.split(/ {2}/).slice(0, 3).toSpliced(1, 1).join(' ')).sort();
}

it('shows what is open, what waits and, when asked, what is over', async () => {
  expect(await listed()).toEqual(['No invitation is open.']);
  await door.invite('open-1');
  const asked = await door.guest('asked-1');
  expect(await door.ask(asked)).toBe('PENDING');
  const enrolled = await door.guest('enrolled-1');
  expect(await door.ask(enrolled)).toBe('PENDING');
  await door.approve(enrolled);
  await lab.log.until((t) => t.parties.has('enrolled-1'));
  await door.invite('expired-1', 8);
  expect(await listed()).toEqual(['asked-1 asked', 'open-1 open']);
  await revokeInvitations(door.founders, ['open-1'], quiet);
  expect(await listed()).toEqual(['asked-1 asked']);
  expect(await listed(true)).toEqual(['asked-1 asked', 'enrolled-1 enrolled', 'expired-1 expired', 'open-1 revoked']);
  const lines: string[] = [];
  await printInvitations(door.founders, false, (line) => void lines.push(line));
  expect(lines[0]).toContain(`until ${new Date(asked.invitation.expires).toISOString()}`);
});

it('one that was called back is dead at the coordinator, before anybody has used it', async () => {
  const guest = await door.guest('lost-1');
  await revokeInvitations(door.founders, ['lost-1'], quiet);
  expect(await door.ask(guest)).toBe('INVITATION_REVOKED');
  await revokeInvitations(door.founders, [guest.invitation.id.slice(0, 16)], quiet); // again changes nothing
  expect(await door.ask(guest)).toBe('INVITATION_REVOKED');
  const other = await door.guest('lost-1'); // a new one for the same name is another invitation
  expect(await door.ask(other)).toBe('PENDING');
});

it('one that waits is declined by it', async () => {
  const guest = await door.guest('lost-2');
  expect(await door.ask(guest)).toBe('PENDING');
  await revokeInvitations(door.founders, ['lost-2'], quiet);
  expect(await door.ask(guest)).toBe('DECLINED');
});

it('a coordinator that forgets does not bring it back: the founders know themselves', async () => {
  const guest = await door.guest('lost-3');
  await revokeInvitations(door.founders, ['lost-3'], quiet);
  const { records } = lab.coordinator.party.store;
  await records.transact((tx) => tx.delete('enrolment-outcomes', guest.invitation.id));
  expect(await door.ask(guest)).toBe('PENDING'); // so it is the coordinator's check that refused before
  expect(await codeOf(approvePending(door.founders, ['lost-3'], quiet))).toBe('INVITATION_REVOKED');
  without.register = true; // control
  expect(await codeOf(approvePending(door.founders, ['lost-3'], quiet))).toBe('SUCCEEDED');
});

it('an enrolled party is not reached by it, and unknown or ambiguous names are named', async () => {
  const guest = await door.guest('in-1');
  expect(await door.ask(guest)).toBe('PENDING');
  await door.approve(guest);
  expect(await codeOf(revokeInvitations(door.founders, ['in-1'], quiet))).toBe('ALREADY_APPROVED');
  expect(await codeOf(revokeInvitations(door.founders, ['nobody'], quiet))).toBe('NOT_INVITED');
  await door.invite('twice-1');
  await door.invite('twice-1');
  expect(await codeOf(revokeInvitations(door.founders, ['twice-1'], quiet))).toBe('AMBIGUOUS');
});
