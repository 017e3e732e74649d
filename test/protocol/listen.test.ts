import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { addressField, reachableField, splitAddress } from '../../src/config/federation.ts';
import { PartyService } from '../../src/grpc/services.ts';
import { runWitness } from '../../src/party/witness.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { codeOf } from './parties.ts';

let lab: FederationLab;
let gateway: Server;
const sockets = new Set<Socket>();
let inside = 0;

/** A gateway at the card's address that forwards to where the party really listens. */
async function openGateway(address: string): Promise<Server> {
  const server = createServer((outer) => {
    const inner = connect(inside, '127.0.0.1');
    for (const [from, to] of [
      [outer, inner],
      [inner, outer],
    ] as const) {
      sockets.add(from);
      from.on('error', () => to.destroy()).pipe(to);
    }
  });
  const { host, port } = splitAddress(address);
  await new Promise<void>((done) => server.listen(port, host, done));
  return server;
}

beforeAll(async () => {
  lab = await FederationLab.start({ nodes: ['eu-1'], absent: ['witness-1', 'eu-1', 'owner', 'aggregator-2'] });
  gateway = await openGateway(lab.local.cards.find(({ name }) => name === 'witness-1')!.address);
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  gateway.close();
  await lab[Symbol.asyncDispose]();
});

it('a party behind a gateway binds another address than its card names, and is the pinned party for all that', async () => {
  // Control: at the card's own address there is no room for it.
  expect(await codeOf(runWitness(lab.path('witness-1')))).toBe('UNREACHABLE');
  await using party = await bound('0.0.0.0:0');
  inside = Number(party.address.split(':').at(-1));
  expect(inside).not.toBe((gateway.address() as AddressInfo).port);
  const outside = lab.connect('officer', 'witness-1');
  const { name } = await outside.callOnce(PartyService.status, {}, 5000);
  outside.close();
  expect(name).toBe('witness-1');
});

async function bound(listen: string) {
  const running = await runWitness(lab.path('witness-1'), listen);
  return { ...running, [Symbol.asyncDispose]: () => running.stop() };
}

it('an address has a port, and where others go is no wildcard', () => {
  for (const good of ['0.0.0.0:7443', '[::]:7443', 'node.example:0', '10.0.0.1:65535'])
    expect(addressField.safeParse(good).success, good).toBe(true);
  for (const bad of ['0.0.0.0', ':7443', '::1:7443', 'a b:1', 'host:65536', 'host:x', 'http://host:1'])
    expect(addressField.safeParse(bad).success, bad).toBe(false);
  expect(reachableField.safeParse('10.0.0.1:7443').success).toBe(true);
  for (const wildcard of ['0.0.0.0:7443', '[::]:7443', '[0:0:0:0:0:0:0:0]:1'])
    expect(reachableField.safeParse(wildcard).success, wildcard).toBe(false);
  expect(splitAddress('[::1]:7443')).toEqual({ host: '::1', port: 7443 });
});
