import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { toBase64, toHex } from '../../crypto/encoding.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { acceptOnline } from '../../src/cli/acceptance.ts';
import { approvePending, listPending } from '../../src/cli/enrolment-pending.ts';
import { EnrolmentService, LogService, ModelService, PartyService, RoundService } from '../../src/grpc/services.ts';
import { checkRequest, makeRequest } from '../../src/keys/enrolment-request.ts';
import { signInvitation } from '../../src/keys/invitation.ts';
import { openPartyFolder } from '../../src/keys/party-folder.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { StoreError } from '../../src/store/errors.ts';
import { chainToDer } from '../../src/tls/chain.ts';
import { createRequest, createTlsKey } from '../../src/tls/keys.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { EnrolmentDoor, type Guest } from './enrolment-lab.ts';
import { codeOf, party } from './parties.ts';

/** Checks that a control leaves out: the modules are replaced here, nothing that ships can be told to. */
const without = vi.hoisted(() => ({ token: false, rules: false, access: false }));

vi.mock('../../crypto/signature.ts', async (original) => {
  const real = await original<typeof import('../../crypto/signature.ts')>();
  const verify: typeof real.verify = (primitives, key, label, bytes, signature) =>
    (without.token && label === 'veilsum/v1/invitation-use') || real.verify(primitives, key, label, bytes, signature);
  return { ...real, verify };
});
vi.mock('../../protocols/rules-register.ts', async (original) => {
  const real = await original<typeof import('../../protocols/rules-register.ts')>();
  const checkEnrolBody: typeof real.checkEnrolBody = (...args) => (without.rules ? null : real.checkEnrolBody(...args));
  return { ...real, checkEnrolBody };
});
vi.mock('../../src/grpc/access.ts', async (original) => {
  const real = await original<typeof import('../../src/grpc/access.ts')>();
  const checkAccess: typeof real.checkAccess = (...args) => (without.access ? undefined : real.checkAccess(...args));
  return { ...real, checkAccess };
});
let lab: FederationLab;
let door: EnrolmentDoor;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes: ['eu-1'], absent: ['eu-1', 'owner', 'aggregator-1', 'aggregator-2'] });
  await lab.log.until((t) => t.parties.has('eu-1'));
  door = await EnrolmentDoor.open(lab);
});
afterAll(() => lab[Symbol.asyncDispose]());
beforeEach(() => {
  for (const name of Object.keys(without) as (keyof typeof without)[]) without[name] = false;
});

describe('an invited party', () => {
  it('asks, is approved, fetches its certificate and stands in the log', async () => {
    const file = await door.invite('eu-2');
    const folder = join(lab.folder, 'eu-2');
    const said: string[] = [];
    const accept = () =>
      acceptOnline(folder, file, '127.0.0.1:1', lab.local.federation.genesisHash, 0, (l) => said.push(l));
    await accept();
    expect(said.join('\n')).toMatch(/not approved it yet/);
    expect(existsSync(join(folder, 'tls', 'tls.crt'))).toBe(false);
    expect(await codeOf(openPartyFolder(folder))).toBe('FILE_MISSING');

    const listed: string[] = [];
    await listPending(door.founders, (line) => listed.push(line));
    expect(listed).toHaveLength(1);
    expect(listed[0]).toContain(said[1]!.trim()); // both sides show one fingerprint
    expect(listed[0]).toContain('eu-2  node of Acme, eu');
    await approvePending(door.founders, ['eu-2'], () => {});

    await vi.waitFor(async () => {
      await accept();
      expect(said.at(-1)).toMatch(/^Enrolled \(leaf [0-9]+\)/);
    }, 20_000);
    await accept(); // the same again gives the same
    expect(said.at(-1)).toBe(said.findLast((line, i) => i < said.length - 1 && line.startsWith('Enrolled')));
    const opened = await openPartyFolder(folder);
    expect(lab.coordinator.keeper.transcript.parties.get('eu-2')?.tlsKeySha256).toBe(opened.card.tlsKeySha256);
    const connection = lab.connect(opened.tls, 'coordinator');
    expect((await connection.callOnce(PartyService.status, {}, 5000)).name).toBe('coordinator');
    connection.close();
    listed.length = 0;
    await listPending(door.founders, (line) => listed.push(line));
    expect(listed.join()).toMatch(/Nothing waits/);
  });

  it('is refused by its own command when the genesis is not the pinned one', async () => {
    const file = await door.invite('eu-pin');
    const accept = acceptOnline(join(lab.folder, 'eu-pin'), file, '127.0.0.1:1', '0'.repeat(64), 0, () => {});
    expect(await codeOf(accept)).toBe('GENESIS_PIN');
    expect(existsSync(join(lab.folder, 'eu-pin'))).toBe(false);
  });

  it('gets its certificate when the coordinator failed between the approval and the leaf', async () => {
    const guest = await door.guest('eu-crash');
    expect(await door.ask(guest)).toBe('PENDING');
    const append = vi.spyOn(lab.coordinator.keeper, 'append').mockRejectedValueOnce(new StoreError('BUSY', 'just now'));
    expect(await codeOf(door.approve(guest))).toBe('BUSY');
    append.mockRestore();
    expect(lab.log.transcript.parties.has('eu-crash')).toBe(false);
    await vi.waitFor(async () => expect(await door.ask(guest)).toBe('ENROLLED'), 20_000);
    const index = lab.coordinator.keeper.transcript.parties.get('eu-crash')!.index;
    expect(await door.approve(guest)).toBe(index); // the officer's second try changes nothing
  });
});

describe('a request is refused', () => {
  /** What the coordinator says to a request, and to the honest one of the same guest afterwards: nothing was used up. */
  async function refused(guest: Guest, request: Guest['request']): Promise<string> {
    const said = await door.ask(guest, request);
    expect(await door.ask(guest)).toBe('PENDING');
    return said;
  }

  it('with another token', async () => {
    const guest = await door.guest('token-1');
    using other = new SecretBytes('another token', systemRng(32));
    const request = makeRequest(p, guest.received.signed, guest.card, other);
    expect(await refused(guest, request)).toBe('WRONG_TOKEN');
    const second = await door.guest('token-2');
    without.token = true;
    expect(await door.ask(second, makeRequest(p, second.received.signed, second.card, other))).toBe('PENDING');
  });

  it('when somebody on the way put another card in its place, by the founders too', async () => {
    const [guest, thief] = [await door.guest('swap-1'), await door.guest('swap-1')];
    const forged = { ...guest.request, card: thief.request.card };
    expect(await door.ask(guest, forged)).toBe('WRONG_TOKEN');
    const asFounders = (request: Guest['request']) => codeOf(checkRequest(p, lab.log.transcript, request));
    expect(await asFounders(forged)).toBe('WRONG_TOKEN');
    expect(await asFounders(guest.request)).toBe('SUCCEEDED');
    without.token = true;
    expect(await asFounders(forged)).toBe('SUCCEEDED');
  });

  it('without an invitation of this root key to this federation', async () => {
    const guest = await door.guest('root-1');
    using other = new SecretBytes('another root', systemRng(32));
    const { id: _id, ...invitation } = guest.invitation;
    const forged = signInvitation(p, other, invitation);
    expect(await door.ask(guest, makeRequest(p, forged, guest.card, guest.received.token))).toBe('BAD_SIGNATURE');
    const elsewhere = signInvitation(p, other, { ...invitation, log: '0'.repeat(64) });
    expect(await refused(guest, makeRequest(p, elsewhere, guest.card, guest.received.token))).toBe('WRONG_ORIGIN');
    const open = { ...guest.request, invitation: Buffer.concat([guest.request.invitation, Buffer.from(' ')]) };
    expect(await door.ask(guest, open)).toBe('MALFORMED');
  });

  it('after the invitation is out of date; one that was kept in time stays', async () => {
    const late = await door.guest('late-1', 8);
    expect(await door.ask(late)).toBe('INVITATION_EXPIRED');
    const inTime = await door.guest('late-2', 6);
    expect(await door.ask(inTime)).toBe('PENDING');
    const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 3 * 86_400_000);
    const said = await codeOf(checkRequest(p, lab.log.transcript, inTime.request)).finally(() => clock.mockRestore());
    expect(said).toBe('SUCCEEDED'); // the founders may take their time
  });

  it('for a second card, also after a restart of the coordinator', async () => {
    const guest = await door.guest('used-1');
    expect(await door.ask(guest)).toBe('PENDING');
    const other = await door.guest('used-1');
    const second = makeRequest(p, guest.received.signed, other.card, guest.received.token);
    expect(await refused(guest, second)).toBe('INVITATION_USED');
    await lab.stop('coordinator');
    await lab.run('coordinator');
    expect(await door.ask(guest)).toBe('PENDING');
    expect(await door.ask(guest, second)).toBe('INVITATION_USED');
    expect(await door.ask(other)).toBe('PENDING'); // control: under its own invitation the card is taken
  });

  it('for another name, role, organisation or region than invited', async () => {
    const guest = await door.guest('name-1');
    for (const change of [
      { name: 'name-2' },
      { role: 'recipient' },
      { organisation: 'Other' },
      { region: 'us' },
    ] as const) {
      expect(await door.ask(guest, door.altered(guest, change))).toBe('NOT_INVITED');
    }
    expect(await refused(guest, door.altered(guest, { name: 'name-2' }))).toBe('NOT_INVITED');
  });

  it("with another invitation's certificate", async () => {
    const [guest, other] = [await door.guest('cert-1'), await door.guest('cert-2')];
    expect(await door.ask({ ...guest, connection: other.connection })).toBe('NOT_INVITED');
    const sameName = await door.guest('cert-1');
    expect(await door.ask({ ...guest, connection: sameName.connection })).toBe('NOT_INVITED');
    expect(await door.ask(guest)).toBe('PENDING');
  });

  it('with a key that is enrolled', async () => {
    const guest = await door.guest('key-1');
    const { key, kemKey, tlsKeySha256 } = lab.local.cards.find(({ name }) => name === 'eu-1')!;
    const stolen = door.altered(guest, { key }, lab.path('eu-1'));
    expect(await door.ask(guest, stolen)).toBe('DUPLICATE_KEY');
    expect(await door.ask(guest, door.altered(guest, { kemKey }))).toBe('DUPLICATE_KEY');
    expect(await door.ask(guest, door.altered(guest, { tlsKeySha256 }))).toBe('PIN_MISMATCH');
    without.rules = true;
    expect(await door.ask(guest, stolen)).toBe('PENDING');
    const card = JSON.parse(new TextDecoder().decode(stolen.card));
    expect(await codeOf(lab.officer.callOnce(EnrolmentService.approve, await door.approval(guest, card), 5000))).toBe(
      'DUPLICATE_KEY', // the log's own rule still stands
    );
  });

  it('without possession of its keys', async () => {
    const guest = await door.guest('own-1');
    const other = await door.guest('own-2');
    // A signature for another key, none at all, a request for another TLS key, a request that nobody signed.
    const notSigned = door.altered(guest, {}, other.folder);
    expect(await door.ask(guest, notSigned)).toBe('NO_POSSESSION');
    const blank = { ...guest.card, possession: null };
    expect(await door.ask(guest, makeRequest(p, guest.received.signed, blank, guest.received.token))).toBe(
      'NO_POSSESSION',
    );
    const foreign = toBase64(await createRequest(createTlsKey(), 'own-1'));
    expect(await door.ask(guest, door.altered(guest, { request: foreign }))).toBe('PIN_MISMATCH');
    const torn = Buffer.from(guest.card.request, 'base64');
    torn[torn.length - 1]! ^= 1;
    expect(await refused(guest, door.altered(guest, { request: toBase64(torn) }))).toBe('BAD_REQUEST');
    without.rules = true;
    expect(await door.ask(other, door.altered(other, {}, guest.folder))).toBe('PENDING');
  });

  it("with the invitation's own keys, which the founders have seen", async () => {
    const guest = await door.guest('seen-1');
    expect(await refused(guest, door.altered(guest, { key: guest.invitation.token }))).toBe('BAD_KEY');
  });

  it('by a party that was revoked: under its name, and under another one with its keys', async () => {
    const guest = await door.guest('gone-1');
    expect(await door.ask(guest)).toBe('PENDING');
    await door.approve(guest);
    await lab.log.until((t) => t.parties.has('gone-1'));
    await door.revoke('gone-1');
    expect(await door.ask(guest)).toBe('REVOKED');
    const again = await door.guest('gone-2');
    const { key, kemKey, tlsKeySha256, request } = guest.card;
    const old = door.altered(again, { key, kemKey, tlsKeySha256, request }, guest.folder);
    expect(await refused(again, old)).toBe('DUPLICATE_KEY');
    expect(await door.ask(await door.guest('gone-1'))).toBe('DUPLICATE_NAME'); // new keys, old name
    const third = await door.guest('gone-3');
    without.rules = true;
    expect(await door.ask(third, door.altered(third, { key, kemKey, tlsKeySha256, request }, guest.folder))).toBe(
      'PENDING',
    );
  });
});

describe('the invited certificate', () => {
  it('calls nothing but Enrol', async () => {
    const { connection } = await door.guest('only-1');
    const id = new Uint8Array(32);
    const calls = {
      append: () => connection.callOnce(LogService.append, { leaf: id }, 5000),
      checkpoint: () => connection.callOnce(LogService.getCheckpoint, {}, 5000),
      follow: () => connection.stream(LogService.follow, { fromIndex: 0n }).next(),
      open: () => connection.callOnce(RoundService.open, { task: id, requestId: id }, 5000),
      list: () => connection.callOnce(RoundService.list, { fromIndex: 0n, limit: 1 }, 5000),
      abort: () => connection.callOnce(RoundService.abort, { roundId: id }, 5000),
      model: () => connection.stream(ModelService.get, { sealedHash: id, offsetBytes: 0n }).next(),
      pending: () => connection.callOnce(EnrolmentService.listPending, { afterId: new Uint8Array(0) }, 5000),
      approve: () => connection.callOnce(EnrolmentService.approve, { id, leaf: id, certificates: [] }, 5000),
      decline: () => connection.callOnce(EnrolmentService.decline, { id }, 5000),
      status: () => connection.callOnce(PartyService.status, {}, 5000),
    };
    for (const [name, call] of Object.entries(calls))
      expect([name, await codeOf(call())]).toEqual([name, 'ROLE_REFUSED']);
    without.access = true;
    for (const [name, call] of Object.entries(calls))
      expect([name, await codeOf(call())]).not.toEqual([name, 'ROLE_REFUSED']);
  });

  it('serves nobody, and no other role enrols', async () => {
    const guest = await door.guest('only-2');
    const node = lab.connect(await lab.tlsOf('eu-1'), 'coordinator');
    expect(await door.ask({ ...guest, connection: node })).toBe('ROLE_REFUSED');
    expect(await door.ask({ ...guest, connection: lab.officer })).toBe('ROLE_REFUSED');
    const stranger = await party(door.authority, 'only-2', 'invited');
    expect(await door.ask({ ...guest, connection: lab.connect(stranger, 'coordinator') })).toBe('NOT_INVITED');
  });
});

describe("the founders' answer", () => {
  const approve = (request: Awaited<ReturnType<EnrolmentDoor['approval']>>) =>
    codeOf(lab.officer.callOnce(EnrolmentService.approve, request, 5000));
  const decline = (guest: Guest) =>
    codeOf(lab.officer.callOnce(EnrolmentService.decline, { id: Buffer.from(guest.invitation.id, 'hex') }, 5000));

  it('fits the request: leaf by the root key, for its card, with a certificate for its key', async () => {
    const [guest, other] = [await door.guest('fit-1'), await door.guest('fit-2')];
    expect(await approve(await door.approval(guest))).toBe('NO_SUCH_REQUEST');
    expect(await door.ask(guest)).toBe('PENDING');
    const right = await door.approval(guest);
    const wrong = await door.approval(other);
    expect(await approve({ ...right, leaf: wrong.leaf })).toBe('NOT_THE_REQUEST');
    expect(await approve({ ...right, certificates: wrong.certificates })).toBe('PIN_MISMATCH');
    expect(await approve({ ...right, certificates: [] })).toBe('BAD_CERTIFICATE');
    const forged = new TextDecoder().decode(right.leaf).replace(/"time":([0-9]+)/, '"time":1');
    expect(await approve({ ...right, leaf: new TextEncoder().encode(forged) })).toBe('BAD_SIGNATURE');
    const officer = await party(door.authority, 'fit-1', 'node');
    expect(await approve({ ...right, certificates: chainToDer(officer.certificates) })).toBe('PIN_MISMATCH');
    expect(await door.ask(guest)).toBe('PENDING');
    expect(await approve(right)).toBe('SUCCEEDED');
    expect(await decline(guest)).toBe('ALREADY_APPROVED');
  });

  it('no is final, and the party is told', async () => {
    const guest = await door.guest('no-1');
    expect(await door.ask(guest)).toBe('PENDING');
    expect(await decline(guest)).toBe('SUCCEEDED');
    expect(await decline(guest)).toBe('SUCCEEDED');
    expect(await door.ask(guest)).toBe('DECLINED');
    expect(await approve(await door.approval(guest))).toBe('DECLINED');
    expect(lab.coordinator.keeper.transcript.parties.has('no-1')).toBe(false);
  });

  it('leaves nothing secret at the coordinator', async () => {
    const guest = await door.guest('quiet-1');
    expect(await door.ask(guest)).toBe('PENDING');
    const token = Buffer.from(guest.received.token.bytes);
    const shown = [token, Buffer.from(toBase64(token)), Buffer.from(toHex(token))];
    const files = [...lab.files(lab.path('coordinator')).values()];
    expect(files.some((bytes) => bytes.includes(guest.request.proof))).toBe(true); // control: the request is there
    for (const bytes of files) expect(shown.some((form) => bytes.includes(form))).toBe(false);
  });
});
