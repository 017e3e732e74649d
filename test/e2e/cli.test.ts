import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canonicalBytes, type Json } from '../../crypto/encoding.ts';
import { readFederation } from '../../src/config/federation.ts';
import { Connection } from '../../src/grpc/connection.ts';
import { RoundService } from '../../src/grpc/services.ts';
import { decodeSafetensors, encodeSafetensors } from '../../src/learning/safetensors.ts';
import { freePort } from '../../src/platform/free-port.ts';
import { loadTlsIdentity } from '../../src/tls/files.ts';
import { CommandLine } from './command.ts';

const DIMENSION = 300;
const MEMBERS = ['m1', 'm2', 'm3'];
const NODES = ['n1', 'n2', 'n3'];
const PARTIES: readonly (readonly [string, string])[] = [
  ['c', 'coordinator'],
  ['a', 'aggregator'],
  ...MEMBERS.map((name) => [name, 'member'] as const),
  ['w', 'witness'],
  ['r', 'recipient'],
  ...NODES.map((name) => [name, 'node'] as const),
];

let cli: CommandLine;

beforeAll(() => {
  cli = new CommandLine(mkdtempSync(join(tmpdir(), 'veilsum-cli-')));
});
afterAll(() => {
  cli.kill();
  rmSync(cli.folder, { recursive: true, force: true });
});

/** Runs a command that must succeed. */
async function done(args: string): Promise<string> {
  const { code, out, err } = await cli.run(args);
  expect(code, `veilsum ${args}\n${out}${err}`).toBe(0);
  return out;
}

/** Runs a command that must not. @returns code and the one line it says. */
async function refused(args: string, env: Record<string, string> = {}): Promise<readonly [number | null, string]> {
  const { code, err } = await cli.run(args, env);
  return [code, err.trim()];
}

describe('help and usage', () => {
  test('every command has help with an example', async () => {
    const { out } = await cli.run('--help');
    const names = [...out.matchAll(/^ {2}([a-z]+)(?: \[options\])?(?: <[^>]+>)? {2,}/gm)].map(([, name]) => name!);
    expect(names.length).toBeGreaterThan(15);
    const helps = await Promise.all(names.map((name) => cli.run([name, '--help'])));
    for (const [i, help] of helps.entries()) {
      expect(help.code, names[i]).toBe(0);
      expect(help.out, names[i]).toMatch(/Examples:|Commands:/);
    }
  });

  test.each([
    ['nonsense', 3, "USAGE: unknown command 'nonsense'"],
    ['round open', 3, 'USAGE: required option'],
    ['keys new --name A_b --role node --address x --dir x', 3, 'USAGE: --name: lower-case letters'],
    ['keys new --name a --role node --address 0.0.0.0:7443 --dir x', 3, 'USAGE: --address: host:port where others'],
    ['member --listen nowhere', 3, 'USAGE: settings of'],
    ['node run --listen 127.0.0.1:65536', 3, 'USAGE: --listen'],
    ['coordinator --http nowhere', 3, 'USAGE: settings of'],
    ['member --dir missing', 1, 'FILE_MISSING: '],
    ['audit . --policy missing', 3, 'USAGE: '],
    ['audit . --policy missing --genesis abc', 3, 'USAGE: --genesis'],
    ['init --dir f', 3, 'USAGE: settings of'],
    ['result fetch --round 1 --out x.txt', 3, 'USAGE: --out'],
  ])('veilsum %s: code %i', async (args, code, start) => {
    const [status, line] = await refused(args);
    expect(status).toBe(code);
    expect(line).toMatch(/^veilsum: [A-Z_]+: /);
    expect(line.slice('veilsum: '.length).startsWith(start), line).toBe(true);
    expect(line).not.toContain('    at ');
  });

  test('help says which options a command cannot do without', async () => {
    const { out } = await cli.run('round open --help');
    const [, task, rounds] = /(--task <file>[\s\S]*)(--rounds <n>[\s\S]*?)--yes/.exec(out)!;
    expect(task).toMatch(/\(required\)/);
    expect(rounds).not.toContain('required');
  });

  test('audit: a file that is no policy is wrong usage, not a verdict on the log', async () => {
    mkdirSync(cli.path('some-log'));
    writeFileSync(cli.path('some-log', 'checkpoint'), 'of another kind\n');
    writeFileSync(cli.path('letter.txt'), 'Dear auditor,\n');
    for (const json of ['', ' --json']) {
      const { code, out, err } = await cli.run(`audit some-log --policy letter.txt${json}`);
      expect([code, out]).toEqual([3, '']);
      expect(err).toContain('USAGE: letter.txt is no C2SP tlog-policy');
    }
  });

  test('VEILSUM_DEBUG prints the stack, and VEILSUM_DIR names the folder', async () => {
    const [, line] = await refused('member', { VEILSUM_DEBUG: '1', VEILSUM_DIR: 'elsewhere' });
    expect(line).toContain('elsewhere');
    expect(line).toContain('    at ');
  });
});

describe('an output folder that cannot be', () => {
  // In /proc no folder can be made, /dev/null is a file, and in the last one a file is in the way.
  test.each(['/proc/veilsum-out', '/dev/null/out', 'in-the-way', 'in-the-way/new/folder'])(
    'demo --out %s is refused at once',
    { skip: process.platform !== 'linux', timeout: 20_000 },
    async (folder) => {
      writeFileSync(cli.path('in-the-way'), 'precious');
      const [code, line] = await refused(`demo --out ${folder}`);
      expect(code).toBe(1);
      expect(line).toMatch(/^veilsum: FOLDER_UNUSABLE: cannot write into \S+: E[A-Z]+: /);
      expect(readFileSync(cli.path('in-the-way'), 'utf8')).toBe('precious');
    },
  );

  test('what was made on the way to it is removed, and what was there stays', async () => {
    // The first two levels can be made, the third name is too long.
    const [, line] = await refused(`demo --out made/here/${'x'.repeat(300)}`);
    expect(line).toContain('FOLDER_UNUSABLE');
    expect(existsSync(cli.path('made'))).toBe(false);
    const [, keys] = await refused('keys new --dir /proc/veilsum-keys --name n --role node --address 127.0.0.1:1');
    expect(keys).toMatch(/^veilsum: E[A-Z]+: /);
  });
});

describe('a federation from cards', { timeout: 120_000 }, () => {
  let genesis = '';
  const running: Awaited<ReturnType<CommandLine['start']>>[] = [];

  test('parties make keys; founders found; parties join', async () => {
    const ports = await Promise.all(PARTIES.map(() => freePort()));
    await Promise.all(
      PARTIES.map(([name, role], i) =>
        done(`keys new --dir ${name} --name ${name} --role ${role} --address 127.0.0.1:${ports[i]}`),
      ),
    );
    expect((await refused('keys new --dir c --name c --role coordinator --address 127.0.0.1:1'))[1]).toContain(
      'FILE_EXISTS',
    );
    const like = { name: 'w', shape: [DIMENSION], values: new Float32Array(DIMENSION) };
    writeFileSync(
      cli.path('like.safetensors'),
      encodeSafetensors([{ name: 'stays', shape: [1], values: new Float32Array(1) }, like]),
    );
    await done(
      `task new --like like.safetensors --only w* --clip 1 --nodes 3 --min-cohort 3 --recipient r --rounds 2 --members 3 --threshold 2 --upload-ms 20000 --confirm-ms 20000 --out task.json`,
    );
    const members = MEMBERS.map((name) => `--member ${name}/card.json`).join(' ');
    const out = await done(
      `init --dir founders --origin cli.test.example/log --coordinator c/card.json --aggregator a/card.json ${members} --witness w/card.json --unit node`,
    );
    genesis = /genesis ([0-9a-f]{64})/.exec(out)![1]!;
    const [code, wrong] = await refused(
      `keys join --dir c --federation founders/federation.json --genesis ${'0'.repeat(64)}`,
    );
    expect([code, wrong.split(':')[1]]).toEqual([1, ' GENESIS_PIN']);
    const [, other] = await refused(
      'keys join --dir c --federation founders/federation.json --certificate founders/certificates/a.crt',
    );
    expect(other).toContain('PIN_MISMATCH');
    const founding = PARTIES.slice(0, 6).map(([name]) => name);
    const joins = PARTIES.map(([name]) => {
      const certificate = founding.includes(name) ? ` --certificate founders/certificates/${name}.crt` : '';
      return done(`keys join --dir ${name} --federation founders/federation.json --genesis ${genesis}${certificate}`);
    });
    await Promise.all(joins);
    const shown = JSON.parse(await done('keys show --dir n1 --json')) as Record<string, string | null>;
    expect(shown).toMatchObject({ name: 'n1', role: 'node', genesis, certificate: null });
  });

  test('parties run as processes of their own; the rest is enrolled', async () => {
    expect((await refused('member --dir c'))[1]).toMatch(/WRONG_ROLE/);
    expect((await refused('enrol n1/card.json --dir founders'))[1]).toMatch(
      /UNREACHABLE: the coordinator .*is it running\?/,
    );
    running.push(await cli.start('coordinator --dir c'));
    const [, alone] = await refused('enrol n1/card.json --dir founders');
    expect(alone).toMatch(
      /NO_HEAD: .* 3 of the 4 members and witnesses must run; not answering: m1 \(member, .* w \(witness, /,
    );
    const first = ['witness --dir w', ...MEMBERS.map((name) => `member --dir ${name}`)];
    running.push(...(await Promise.all(first.map((args) => cli.start(args)))));
    const cards = ['a', 'r', ...NODES].map((name) => `${name}/card.json`).join(' ');
    await expect.poll(async () => (await cli.run(`enrol ${cards} --dir founders`)).code, { timeout: 20_000 }).toBe(0);
    expect(await done('enrol n1/card.json --dir founders')).toContain('was enrolled already');
    writeFileSync(cli.path('r', 'recipient.yaml'), 'tasks: [../task.json]\n');
    for (const name of NODES) {
      writeFileSync(cli.path(name, 'node.yaml'), 'tasks: [../task.json]\n');
      await done(`policy new --dir ${name} --task task.json --rounds 2`);
    }
    expect((await refused('policy new --dir n1 --task task.json'))[1]).toContain('FILE_EXISTS');
    expect(readFileSync(cli.path('n1', 'policy.yaml'), 'utf8')).toContain(`genesis: ${genesis}`);
    running.push(
      ...(await Promise.all(['aggregator --dir a', 'recipient run --dir r'].map((args) => cli.start(args)))),
    );
    expect(new Set(running.map(({ pid }) => pid)).size).toBe(running.length);
  });

  test('updates from files are summed, fetched and audited', async () => {
    const sent = NODES.map((name, i) => {
      const values = Float32Array.from({ length: DIMENSION }, (_, j) => (j === i ? 0.5 : 0));
      writeFileSync(cli.path(`${name}.safetensors`), encodeSafetensors([{ name: 'w', shape: [DIMENSION], values }]));
      return cli.run(`node submit --dir ${name} --update ${name}.safetensors --timeout 60`);
    });
    writeFileSync(
      cli.path('short.safetensors'),
      encodeSafetensors([{ name: 'w', shape: [2], values: new Float32Array(2) }]),
    );
    const [, short] = await refused('node submit --dir n1 --update short.safetensors');
    expect(short).toContain(`LAYER_MISMATCH: short.safetensors: w has shape [2], the task takes [${DIMENSION}]`);
    const [, astray] = await refused('node submit --dir n1 --update short.safetensors --layers lora.*');
    expect(astray).toContain("no layer of short.safetensors is called 'lora.*': it has w [2]");
    // The recipient publishes its first model in its own time: until then a round has nothing to start from.
    await expect
      .poll(async () => JSON.parse(await done('round list --dir founders --json')).rounds.length, { timeout: 5000 })
      .toBe(0);
    // What genesis does not allow is refused by the command and by the coordinator, before anything is announced.
    await done(`task new --dimension ${DIMENSION} --nodes 3 --min-cohort 2 --recipient r --out few.json`);
    expect((await refused('round open --dir founders --task few.json'))[1]).toContain('minCohort is below genesis');
    const few = canonicalBytes(JSON.parse(readFileSync(cli.path('few.json'), 'utf8')) as Json);
    const { address, tlsKeySha256 } = readFederation(cli.path('founders', 'federation.json')).coordinator;
    const tls = await loadTlsIdentity(cli.path('founders', 'officer'));
    const desk = new Connection({ address, tls, expected: { pins: [tlsKeySha256], role: 'coordinator' } });
    const request = { task: few, requestId: new Uint8Array(16) };
    await expect(desk.callOnce(RoundService.open, request, 20_000)).rejects.toMatchObject({ code: 'BELOW_MINIMUM' });
    desk.close();
    // No terminal and no --yes is no consent. Until the first model is there, that is what is said instead.
    let [, unasked] = await refused('round open --dir founders --task task.json');
    for (let i = 0; i < 10 && unasked.includes('UNKNOWN_MODEL'); i++)
      [, unasked] = await refused('round open --dir founders --task task.json');
    expect(unasked).toMatch(/REFUSED: nobody is there to ask: read what is printed above, and say --yes/);
    expect(JSON.parse(await done('round list --dir founders --json')).rounds).toEqual([]);
    let opened = await cli.run('round open --dir founders --task task.json --yes --wait');
    for (let i = 0; i < 10 && opened.err.includes('UNKNOWN_MODEL'); i++)
      opened = await cli.run('round open --dir founders --task task.json --yes --wait');
    expect(opened.code, opened.out + opened.err).toBe(0);
    const [cost, asked] = [opened.out.indexOf('this round costs epsilon'), opened.out.indexOf('opened: leaf')];
    expect(cost).toBeGreaterThan(0);
    expect(asked).toBeGreaterThan(cost);
    for (const { code, out, err } of await Promise.all(sent)) {
      expect(code, err).toBe(0);
      expect(out).toContain('the update is in the sum of 3 nodes');
    }
    await done('result fetch --dir r --round 1 --out sum.json');
    await done('result fetch --dir r --round 1 --out sum.safetensors');
    const layers = decodeSafetensors(readFileSync(cli.path('sum.safetensors')));
    expect(layers.map(({ name, shape }) => [name, shape])).toEqual([['w', [DIMENSION]]]);
    const sum = JSON.parse(readFileSync(cli.path('sum.json'), 'utf8')) as {
      nodes: number;
      integers: number[];
      scale: number;
    };
    expect([sum.nodes, sum.integers.length]).toEqual([3, DIMENSION]);
    expect((await refused('result fetch --dir n1 --round 1 --out x.json'))[1]).toContain('ROLE_REFUSED');
    expect((await refused('round abort 1 --dir founders'))[1]).toContain('ROUND_ENDED');
    expect((await refused('round open --dir n1 --task task.json'))[1]).toContain('ROLE_REFUSED');
    const [, over] = await refused('round open --dir founders --task task.json --rounds 2');
    expect(over).toContain('BUDGET_EXCEEDED: the budget carries 1 such round, not 2');
    await done('log export --dir c --out log');
    const audit = await cli.run(`audit log --policy founders/policy.txt --genesis ${genesis} --json`);
    expect([audit.code, JSON.parse(audit.out).verdict]).toEqual([0, 'verified']);
    expect((await cli.run(`audit log --policy founders/policy.txt --genesis ${'0'.repeat(64)}`)).code).toBe(1);
    const quiet = /^nothing stands out in \d+ leaves, 1 round /;
    expect(await done('log anomalies log --policy founders/policy.txt')).toMatch(quiet);
    expect(await done('log anomalies --dir founders')).toMatch(quiet);
    rmSync(cli.path('log', 'tile'), { recursive: true });
    expect((await cli.run('log anomalies log --policy founders/policy.txt')).code).toBe(2);
    expect((await cli.run('audit log --policy founders/policy.txt')).code).toBe(2);
  });

  test('SIGTERM stops every party cleanly', async () => {
    for (const { code, out } of await Promise.all(running.map((party) => party.stop()))) {
      expect(code).toBe(0);
      expect(out).toContain('stopped');
    }
  });
});
