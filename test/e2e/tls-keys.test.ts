import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromBase64 } from '../../crypto/encoding.ts';
import { renewCards } from '../../src/cli/renewal.ts';
import { installReplacement } from '../../src/cli/replacement.ts';
import { readFederation, splitAddress } from '../../src/config/federation.ts';
import { Connection } from '../../src/grpc/connection.ts';
import { LogService, PartyService } from '../../src/grpc/services.ts';
import { drawReplacement, pendingReplacement } from '../../src/keys/replacement.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { secureContextOptions, type TlsIdentity } from '../../src/tls/context.ts';
import { spkiPin } from '../../src/tls/identity.ts';
import { codeOf } from '../protocol/parties.ts';
import { CommandLine } from './command.ts';
import { type Child, FederationLab } from './federation-lab.ts';
import { plainSum } from './lab-parties.ts';

// Every kind of party replaces its TLS key while it runs, in a process of its own, by the commands that its operator would type.

/** What a control leaves out: the module is replaced here, for the parties of this process. */
const without = vi.hoisted(() => ({ standing: false }));
vi.mock('../../src/party/standing.ts', async (original) => {
  const real = await original<typeof import('../../src/party/standing.ts')>();
  const isBarred: typeof real.isBarred = (...args) => !without.standing && real.isBarred(...args);
  return { ...real, isBarred };
});

const nodes = ['eu-1', 'us-1'];
const said = new Map<string, string>();
const old = new Map<string, TlsIdentity>();
let lab: FederationLab;
let cli: CommandLine;

async function spawned(name: string): Promise<Child> {
  const child = await lab.spawn(name);
  said.set(name, '');
  child.process.stderr!.on('data', (chunk: Buffer) => said.set(name, said.get(name)! + chunk.toString()));
  return child;
}

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, absent: ['coordinator', 'member-1'] });
  cli = new CommandLine(lab.folder);
  await Promise.all(['member-1', 'coordinator'].map(spawned));
  for (const leaf of lab.local.enrolments) await lab.officer.call(LogService.append, { leaf });
  lab.log.start();
  await Promise.all([
    ...['aggregator-1', 'eu-1'].map(spawned),
    ...['aggregator-2', 'us-1', 'owner'].map((name) => lab.run(name)),
  ]);
}, 60_000);
afterAll(async () => {
  cli.kill();
  await lab[Symbol.asyncDispose]();
});

/** What an operator types, in the federation's folder. */
async function typed(command: string): Promise<string> {
  const { code, out, err } = await cli.run(command);
  if (code !== 0) throw new Error(`${command}: ${err}`);
  return out;
}

/** The pin that a server shows now. */
function shown(name: string): Promise<string> {
  const { host, port } = splitAddress(lab.local.cards.find((card) => card.name === name)!.address);
  return new Promise((resolve, reject) => {
    const options = { ...secureContextOptions(lab.officerTls), host, port, ALPNProtocols: ['h2'] };
    const socket = connect({ ...options, checkServerIdentity: () => undefined }, () => {
      resolve(spkiPin(socket.getPeerCertificate().raw));
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

const pinIn = (name: string): string => spkiPin(readFileSync(join(lab.path(name), 'tls', 'tls.crt'), 'utf8'));
const pinOf = (name: string): string => lab.log.transcript.parties.get(name)!.tlsKeySha256;

/** The steps of the commands, without their processes. @param lost - the request is gone when its leaf is in the log. */
async function replaced(name: string, lost = false): Promise<void> {
  let request = await drawReplacement(p, lab.path(name), Date.now());
  if (lost) {
    const { leaf } = (await pendingReplacement(lab.path(name)))!;
    const { address } = lab.local.cards.find((card) => card.role === 'coordinator')!;
    const own = new Connection({ address, tls: old.get(name)!, expected: { pins: [pinOf('coordinator')] } });
    await codeOf(own.callOnce(LogService.append, { leaf: fromBase64(leaf) }, 10_000)); // or cut, once it is logged
    own.close();
    await lab.log.until((t) => t.parties.get(name)!.tlsKeySha256 !== pinIn(name), AbortSignal.timeout(20_000));
    rmSync(request);
    request = await drawReplacement(p, lab.path(name), Date.now());
  }
  await renewCards(join(lab.folder, 'founders'), [request], lab.path(name), () => {});
  const certificates = readFileSync(join(lab.path(name), `${name}.crt`), 'utf8');
  await installReplacement(lab.path(name), (await pendingReplacement(lab.path(name)))!, certificates);
}

describe('a TLS key is replaced', () => {
  it('of a member, an aggregator and a node, while they run', async () => {
    for (const name of ['member-1', 'aggregator-1', 'eu-1']) {
      old.set(name, await lab.tlsOf(name));
      await replaced(name, name === 'eu-1');
    }
    for (const name of old.keys()) {
      await vi.waitFor(() => expect(said.get(name)).toContain('"certificate taken"'), 20_000);
      await lab.log.until((t) => t.keys.has(pinIn(name)), AbortSignal.timeout(20_000));
      expect(pinOf(name)).toBe(pinIn(name));
      expect(await shown(name)).toBe(pinOf(name));
    }
  }, 60_000);

  it('of the coordinator, by the three commands', async () => {
    const name = 'coordinator';
    old.set(name, await lab.tlsOf(name));
    const next = await typed(`keys replace --dir parties/${name}`);
    expect(next).toContain('tls-key.json');
    expect(await typed(`keys replace --dir parties/${name}`)).toBe(next); // asked again: the same key
    await typed(`keys renew parties/${name}/tls-key.json --dir founders --out renewed`);
    const install = `keys join --dir parties/${name} --certificate renewed/${name}.crt`;
    await typed(install);
    expect(await typed(install)).toContain('belongs to the federation'); // once more: nothing is left to do
    await vi.waitFor(() => expect(said.get(name)).toContain('"certificate taken"'), 20_000);
    lab.officer.repin([pinIn(name)]);
    await lab.log.until((t) => t.keys.has(pinIn(name)), AbortSignal.timeout(20_000));
    expect([pinOf(name), await shown(name)]).toEqual([pinIn(name), pinIn(name)]);
  }, 60_000);

  it('and rounds go on: the sum is exact', async () => {
    const id = await lab.open();
    expect(await lab.end(id)).toBe('released');
    expect(await lab.result(id)).toEqual(plainSum(nodes, 1, 300));
  }, 60_000);

  it('who calls with the old key is told so, everywhere', async () => {
    const status = (to: string): Promise<string> => {
      const { address } = lab.local.cards.find((card) => card.name === to)!;
      const expected = { pins: [pinOf(to)] };
      const connection = new Connection({ address, tls: old.get('eu-1')!, expected });
      return codeOf(connection.callOnce(PartyService.status, {}, 10_000)).finally(() => connection.close());
    };
    for (const server of ['coordinator', 'aggregator-1', 'aggregator-2', 'member-1', 'member-2'])
      expect([server, await status(server)]).toEqual([server, 'CERTIFICATE_REPLACED']);
    without.standing = true; // control: where the log is not asked, the old key is as good as the new one
    expect(await status('aggregator-2')).toBe('SUCCEEDED');
    without.standing = false;
  }, 30_000);

  it('a server with the old key is not talked to by who has read the leaf', async () => {
    const pins = (file: string): string[] => {
      const { coordinator, aggregators, members } = readFederation(
        join(lab.folder, ...file.split('/'), 'federation.json'),
      );
      return [coordinator, ...aggregators, ...members].map(({ tlsKeySha256 }) => tlsKeySha256);
    };
    const now = ['coordinator', 'aggregator-1', 'aggregator-2', 'member-1', 'member-2', 'member-3'].map(pinOf);
    // Parties of both kinds, in this process and in others, have kept what they learnt; so have the founders.
    for (const name of ['member-2', 'us-1', 'owner', 'eu-1', 'coordinator'])
      expect([name, pins(`parties/${name}`)]).toEqual([name, now]);
    expect(pins('founders')).toEqual(now);
    await lab.stop('member-2'); // it starts again with the coordinator's new pin, and reads the log
    await lab.run('member-2');
    const id = await lab.open(1);
    expect(await lab.end(id)).toBe('released');
  }, 60_000);
});

it('a renewed certificate is taken by a running party', async () => {
  const before = said.get('member-1')!.split('"certificate taken"').length;
  const pin = pinOf('member-1');
  await renewCards(join(lab.folder, 'founders'), [join(lab.path('member-1'), 'card.json')], null, () => {});
  await vi.waitFor(() => expect(said.get('member-1')!.split('"certificate taken"')).toHaveLength(before + 1), 20_000);
  expect(await shown('member-1')).toBe(pin);
  expect(pinOf('member-1')).toBe(pin);
}, 30_000);
