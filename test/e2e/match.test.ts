import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { exitCodeOf, reportError } from '../../src/cli/exit.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { MatchingService } from '../../src/grpc/services.ts';
import { codeOf } from '../protocol/parties.ts';
import { FederationLab } from './federation-lab.ts';

// Two sites align their accounts over gRPC and mutual TLS, by the command line alone. Members serve it without a round.

const MEMBERS = ['member-1', 'member-2', 'member-3'];
let lab: FederationLab;

/** The command line in this process: what a command prints, and how it ends. Paths are relative to the lab's folder. */
const cli = {
  path: (name: string): string => join(lab.folder, name),
  run: async (args: string) => {
    const ended = { code: 0, out: '', err: '' };
    const words = args.split(' ').map((word) => (/\.csv$/.test(word) ? cli.path(word) : word));
    const write = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      ended.out += String(text);
      return true;
    });
    try {
      await buildProgram().parseAsync(words, { from: 'user' });
    } catch (error) {
      ended.code = exitCodeOf(error);
      reportError(error, (line) => (ended.err += line), false);
    } finally {
      write.mockRestore();
    }
    return ended;
  },
};

beforeAll(async () => {
  const absent = ['coordinator', 'aggregator-1', 'aggregator-2', 'owner', 'witness-1', 'witness-2', 'witness-3'];
  lab = await FederationLab.start({ nodes: ['eu', 'us'], absent: [...absent, 'eu', 'us'] });
  writeFileSync(
    cli.path('eu.csv'),
    'account,seats\nCanary GmbH & Co. KG,5\nGTX Pro,7\nOnly Here Ltd,1\n,3\nØrsted A/S,2\n',
  );
  writeFileSync(cli.path('us.csv'), 'company\nCANARY Inc.\nGTXPro\nOnly There\nORSTED\n');
});

afterAll(() => lab[Symbol.asyncDispose]());

async function veilsum(args: string): Promise<string> {
  const { code, out, err } = await cli.run(args);
  expect([args, code, err]).toEqual([args, 0, '']);
  return out;
}

const dirOf = (name: string): string => `--dir ${lab.path(name)}`;
const rows = (file: string): string[][] =>
  readFileSync(cli.path(file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split(',').map((cell) => cell.replaceAll('"', '')));

it('key sets, joins and a comparison, from two machines', async () => {
  const early = await cli.run(`match join ${dirOf('eu')} --names eu.csv --out eu-keys.csv`);
  expect([early.code, early.err]).toEqual([1, expect.stringMatching(/FILE_MISSING.*veilsum match keys/)]);

  const shown = await veilsum(`match keys ${dirOf('eu')}`);
  const id = /Key set ([0-9a-f]{64})/.exec(shown)![1]!;
  expect(await veilsum(`match keys ${dirOf('us')} --expect ${id}`)).toContain(id);
  const other = await cli.run(`match keys ${dirOf('us')} --expect ${'0'.repeat(64)}`);
  expect([other.code, other.err]).toEqual([1, expect.stringContaining('OTHER_KEY_SET')]);

  const joined = await veilsum(`match join ${dirOf('eu')} --names eu.csv --column account --out eu-keys.csv`);
  expect(joined).toContain('4 organisations have a join key in "account_key"');
  expect(joined).toContain('1 blank row has none');
  expect(joined).toContain('4 of 50,000');
  expect(statSync(cli.path('eu-keys.csv')).mode & 0o077).toBe(0);
  await veilsum(`match join ${dirOf('us')} --names us.csv --out us-keys.csv`);
  const [eu, us] = [rows('eu-keys.csv'), rows('us-keys.csv')];
  const keyOf = (table: string[][], row: number): string => table[row]!.at(-1)!;
  expect(eu[0]).toEqual(['account', 'seats', 'account_key']);
  expect([keyOf(eu, 1), keyOf(eu, 2), keyOf(eu, 5)]).toEqual([keyOf(us, 1), keyOf(us, 2), keyOf(us, 4)]);
  expect(keyOf(eu, 4)).toBe('');
  expect(keyOf(eu, 3)).not.toBe(keyOf(us, 3));

  // The same again costs nothing and says the same.
  expect(await veilsum(`match join ${dirOf('eu')} --names eu.csv --column account --out again.csv`)).toContain(
    '4 of 50,000',
  );
  expect(rows('again.csv')).toEqual(eu);

  await veilsum('match export --keys us-keys.csv --column company --out from-us.csv');
  expect(readFileSync(cli.path('from-us.csv'), 'utf8').toLowerCase()).not.toMatch(/canary|gtx|orsted/);
  const compare = 'match compare --keys eu-keys.csv --column account --with from-us.csv';
  const few = await cli.run(`${compare} --out shared.csv`);
  expect([few.code, few.err]).toEqual([1, expect.stringContaining('TOO_FEW_SHARED')]);
  expect(await veilsum(`${compare} --at-least 3 --out shared.csv`)).toContain('3 rows of eu-keys.csv, of 3 names');
  expect(
    rows('shared.csv')
      .slice(1)
      .map(([name]) => name),
  ).toEqual(['Canary GmbH & Co. KG', 'GTX Pro', 'Ørsted A/S']);
});

it("no name is on a member's disk or in its messages", () => {
  const canaries = ['canary', 'gtxpro', 'gtx pro', 'only here', 'onlyhere'];
  const holds = (bytes: Buffer): boolean =>
    canaries.some((name) => bytes.toString('latin1').toLowerCase().includes(name));
  for (const member of MEMBERS) {
    const files = lab.files(lab.path(member));
    expect(files.size).toBeGreaterThan(5);
    for (const [path, bytes] of files) expect([path, holds(bytes)]).toEqual([path, false]);
  }
  expect(JSON.stringify(lab.events).toLowerCase()).not.toMatch(/canary|gtx|only here/);
  expect(holds(readFileSync(cli.path('eu-keys.csv')))).toBe(true); // control: the site's own file
});

it('only nodes are served, and a member that is away is named', async () => {
  const asMember = lab.connect(await lab.tlsOf('member-2'), 'member-1');
  expect(await codeOf(asMember.callOnce(MatchingService.getKey, {}, 10_000))).toBe('ROLE_REFUSED');
  const request = { publicKey: new Uint8Array(32), blinded: [] };
  expect(await codeOf(lab.officer.callOnce(MatchingService.evaluate, request, 10_000))).not.toBe('SUCCEEDED');
  asMember.close();
  const asNode = lab.connect(await lab.tlsOf('eu'), 'member-1');
  expect(await codeOf(asNode.callOnce(MatchingService.getKey, {}, 10_000))).toBe('SUCCEEDED'); // control
  expect(await codeOf(asNode.callOnce(MatchingService.evaluate, request, 10_000))).toBe('BATCH_SIZE');
  asNode.close();
  const inMembersFolder = await cli.run(`match keys ${dirOf('member-1')}`);
  expect([inMembersFolder.code, inMembersFolder.err]).toEqual([1, expect.stringContaining('ROLE_REFUSED')]);
  await lab.stop('member-3');
  const { code, err } = await cli.run(`match keys ${dirOf('eu')}`);
  expect([code, err]).toEqual([1, expect.stringMatching(/UNREACHABLE: member-3 .*is it running/)]);
  await lab.run('member-3');
});

it('a retired part ends the key: sites are told to take the new one', async () => {
  expect(await veilsum(`match retire ${dirOf('member-1')}`)).toContain('is wiped');
  const again = await cli.run(`match retire ${dirOf('member-1')}`);
  expect([again.code, again.err]).toEqual([1, expect.stringContaining('NO_KEY')]);
  const refused = await cli.run(`match join ${dirOf('eu')} --names eu.csv --out eu-2.csv`);
  expect([refused.code, refused.err]).toEqual([1, expect.stringMatching(/KEY_REPLACED: member-1 .*keys --renew/)]);
  const changed = await cli.run(`match keys ${dirOf('eu')}`);
  expect([changed.code, changed.err]).toEqual([1, expect.stringContaining('KEY_SET_CHANGED')]);
  await veilsum(`match keys ${dirOf('eu')} --renew`);
  await veilsum(`match join ${dirOf('eu')} --names eu.csv --out eu-2.csv`);
  const mixed = await cli.run(
    'match compare --keys eu-2.csv --column account --with from-us.csv --at-least 1 --out x.csv',
  );
  expect([mixed.code, mixed.err]).toEqual([1, expect.stringContaining('OTHER_JOIN')]);
});
