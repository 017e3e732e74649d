import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { openCaller } from '../../src/cli/caller.ts';
import { renewCards, renewOfficer } from '../../src/cli/renewal.ts';
import { ACCESS } from '../../src/grpc/access.ts';
import { Connection } from '../../src/grpc/connection.ts';
import { Gate } from '../../src/grpc/gate.ts';
import { implement } from '../../src/grpc/handlers.ts';
import { startServer } from '../../src/grpc/server.ts';
import { PartyService } from '../../src/grpc/services.ts';
import { readAuthority } from '../../src/keys/found.ts';
import { runWitness } from '../../src/party/witness.ts';
import { type Authority, createAuthority, issue } from '../../src/tls/authority.ts';
import { expiryNotice, expiryOf } from '../../src/tls/expiry.ts';
import { identityOf, spkiPin } from '../../src/tls/identity.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { codeOf, party } from './parties.ts';

/** What a control leaves out: the module is replaced here. */
const without = vi.hoisted(() => ({ check: false }));

vi.mock('../../src/tls/expiry.ts', async (original) => {
  const real = await original<typeof import('../../src/tls/expiry.ts')>();
  const checkInTime: typeof real.checkInTime = (...args) => without.check || real.checkInTime(...args);
  return { ...real, checkInTime };
});
beforeEach(() => {
  without.check = false;
});

const DAY_MS = 86_400_000;
const LONG_AGO = { now: new Date(Date.now() - 3 * DAY_MS), days: 1 };

describe('an expired certificate is named on the wire', () => {
  const service = implement(PartyService, {
    status: async () => ({ name: 'c', role: 'coordinator', version: '0', logSize: 0n, ready: true }),
  });
  let authority: Authority;
  beforeAll(async () => {
    authority = await createAuthority('ours', new Date(Date.now() - 10 * DAY_MS));
  });

  it.each([
    ["the server's", true, false],
    ["the client's", false, true],
  ])('%s', async (_whose, serverLate, clientLate) => {
    const tls = await party(authority, 'c', 'coordinator', serverLate ? LONG_AGO : {});
    const server = await startServer({ host: '127.0.0.1', port: 0, tls, services: [service] });
    const client = await party(authority, 'eu-1', 'node', clientLate ? LONG_AGO : {});
    const expected = { pins: [spkiPin(tls.certificates)] };
    const connection = new Connection({ address: server.address, tls: client, expected });
    const code = await codeOf(connection.callOnce(PartyService.status, {}, 10_000));
    connection.close();
    await server.stop(0);
    expect(code).toBe('CERTIFICATE_EXPIRED');
  });
});

it('a connection that outlives its certificate is refused at the next call, and its running calls end', async () => {
  const authority = await createAuthority('ours', new Date());
  const { X509Certificate } = await import('node:crypto');
  const { certificates } = await party(authority, 'eu-1', 'node', { days: 1 });
  const certificate = new X509Certificate(certificates);
  const { raw, fingerprint256 } = certificate;
  const sslPeerCertificate = { raw, fingerprint256, valid_to: certificate.validTo } as never;
  const auth = { sslPeerCertificate };
  const gate = new Gate({ access: ACCESS, ownSpki: () => '', isRevoked: () => false });
  const enter = () => gate.enter('/veilsum.v1.PartyService/Status', auth);
  try {
    vi.useFakeTimers({ toFake: ['Date'], now: expiryOf(certificates) - 1000 });
    const { barred } = enter(); // control: the same caller a second before
    gate.recheck();
    expect(barred.aborted).toBe(false);
    vi.setSystemTime(expiryOf(certificates) + 1000);
    expect(enter).toThrowError(expect.objectContaining({ code: 'CERTIFICATE_EXPIRED' }));
    gate.recheck();
    expect(barred.reason).toMatchObject({ code: 'CERTIFICATE_EXPIRED' });
  } finally {
    vi.useRealTimers();
  }
});

it('a party speaks up thirty days before', async () => {
  const authority = await createAuthority('ours', new Date());
  const { certificates } = await party(authority, 'eu-1', 'node', { days: 100 });
  const until = expiryOf(certificates);
  const seen = (daysBefore: number) => expiryNotice(certificates, until - daysBefore * DAY_MS);
  expect(seen(31)).toBeNull();
  expect(seen(29.5)).toEqual({ event: 'certificate expires', until: new Date(until).toISOString(), days: 29 });
  expect(seen(-0.5)).toMatchObject({ event: 'certificate expired', days: -1 });
});

describe('in a federation', () => {
  let lab: FederationLab;
  let founders: string;
  const said: string[] = [];

  beforeAll(async () => {
    lab = await FederationLab.start({ nodes: ['eu-1'], absent: ['witness-1', 'eu-1', 'owner', 'aggregator-2'] });
    founders = join(lab.folder, 'founders');
  });
  afterAll(() => lab[Symbol.asyncDispose]());

  /** Puts an expired certificate for the same key in the place of a good one. */
  async function expire(tlsFolder: string): Promise<string> {
    const file = join(tlsFolder, 'tls.crt');
    const good = readFileSync(file, 'utf8');
    const { X509Certificate } = await import('node:crypto');
    const publicKey = new Uint8Array(new X509Certificate(good).publicKey.export({ type: 'spki', format: 'der' }));
    writeFileSync(file, await issue(await readAuthority(founders), { publicKey }, identityOf(good), LONG_AGO));
    return good;
  }

  it('a party does not start with it, and does after keys renew, known by the same pin', async () => {
    const folder = lab.path('witness-1');
    const good = await expire(join(folder, 'tls'));
    expect(await codeOf(runWitness(folder))).toBe('CERTIFICATE_EXPIRED');
    without.check = true; // control: it would start, and nobody would talk to it
    const useless = await runWitness(folder);
    const before = lab.connect('officer', 'witness-1');
    expect(await codeOf(before.callOnce(PartyService.status, {}, 5000))).toBe('CERTIFICATE_EXPIRED');
    before.close();
    await useless.stop();
    without.check = false;
    await renewCards(founders, [join(folder, 'card.json')], null, (line) => said.push(line));
    expect(said.at(-1)).toMatch(/^witness-1: renewed; certificate installed in .* until \d{4}-/);
    expect(spkiPin(readFileSync(join(folder, 'tls', 'tls.crt'), 'utf8'))).toBe(spkiPin(good));
    const running = await runWitness(folder);
    const after = lab.connect('officer', 'witness-1');
    expect(await codeOf(after.callOnce(PartyService.status, {}, 5000))).toBe('SUCCEEDED');
    after.close();
    await running.stop();
  });

  it('a card with another TLS key than the pinned one is not certified', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'veilsum-renew-'));
    const card = JSON.parse(readFileSync(join(lab.path('witness-1'), 'card.json'), 'utf8'));
    const other = JSON.parse(readFileSync(join(lab.path('witness-2'), 'card.json'), 'utf8'));
    const path = join(folder, 'card.json');
    writeFileSync(path, JSON.stringify({ ...card, request: other.request, tlsKeySha256: other.tlsKeySha256 }));
    expect(await codeOf(renewCards(founders, [path], folder, () => {}))).toBe('PIN_MISMATCH');
    // Control: a federation file that pins the other key.
    const weak = join(folder, 'founders');
    mkdirSync(join(weak, 'authority'), { recursive: true });
    for (const file of ['ca.key', 'ca.crt'])
      copyFileSync(join(founders, 'authority', file), join(weak, 'authority', file));
    const text = readFileSync(join(founders, 'federation.json'), 'utf8');
    writeFileSync(join(weak, 'federation.json'), text.replaceAll(card.tlsKeySha256, other.tlsKeySha256));
    expect(await codeOf(renewCards(weak, [path], folder, () => {}))).toBe('SUCCEEDED');
    rmSync(folder, { recursive: true });
  });

  it("an officer's is renewed by the founders alone", async () => {
    expect(await codeOf(renewOfficer(lab.path('witness-1'), () => {}))).toBe('FILE_MISSING');
    await expire(join(founders, 'officer'));
    expect(await codeOf(openCaller(founders))).toBe('CERTIFICATE_EXPIRED');
    await renewOfficer(founders, (line) => said.push(line));
    const { coordinator, role } = await openCaller(founders);
    expect(role).toBe('officer');
    expect(await codeOf(coordinator.callOnce(PartyService.status, {}, 5000))).toBe('SUCCEEDED');
    coordinator.close();
  });
});
