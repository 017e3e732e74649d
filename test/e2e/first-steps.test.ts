import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CommandLine } from './command.ts';

/** What a newcomer does before anything runs: no party is started here. */
let cli: CommandLine;

const CARDS: readonly (readonly [string, string])[] = [
  ['c', 'coordinator'],
  ['a', 'aggregator'],
  ['m1', 'member'],
  ['m2', 'member'],
  ['m3', 'member'],
  ['n1', 'node'],
  ['r', 'recipient'],
];
const FOUND =
  'init --origin first.test.example/log --coordinator c/card.json --aggregator a/card.json --member m1/card.json --member m2/card.json --member m3/card.json';
const UPDATES = 'task new --dimension 100 --recipient r';

beforeAll(async () => {
  cli = new CommandLine(mkdtempSync(join(tmpdir(), 'veilsum-first-')));
  await Promise.all(
    CARDS.map(([name, role], i) =>
      cli.run(`keys new --dir ${name} --name ${name} --role ${role} --address 127.0.0.1:${7101 + i}`),
    ),
  );
  await cli.run(`${FOUND} --dir per-record`);
}, 60_000);
afterAll(() => rmSync(cli.folder, { recursive: true, force: true }));

describe('a task and the federation for it', { timeout: 60_000 }, () => {
  test('the line that task new prints founds a federation that can open its rounds', async () => {
    const made = await cli.run(`${UPDATES} --nodes 4 --epsilon 4 --out t.json`);
    expect(made.out).toContain('10 of them'); // one round must not take the whole budget unasked
    const flags = /veilsum init .*\.\.\. (--unit .*)$/m.exec(made.out)![1]!;
    expect(flags).toBe('--unit node --epsilon 4 --delta 1e-5 --min-cohort 3 --min-honest 2 --min-organisations 3');
    const founded = await cli.run(`${FOUND} --dir per-node ${flags}`);
    expect(founded.code, founded.err).toBe(0);
    expect(founded.out).toMatch(/Final from now on: privacy per node, epsilon 4 .* 3 nodes of 3 organisations/);
    expect((await cli.run('task show t.json --dir per-node')).out).toMatch(/federation +can open rounds of it/);
    expect((await cli.run(`${UPDATES} --nodes 4 --epsilon 4 --out again.json --dir per-node`)).code).toBe(0);
  });

  test('a task that no round could be of is refused when it is written', async () => {
    const { code, err } = await cli.run(`${UPDATES} --nodes 4 --out wrong.json --dir per-record`);
    expect(code).toBe(1);
    expect(err).toContain('CHARGE_MISMATCH: no round of task updates can be opened in this federation');
    expect(err).toContain("the task counts privacy per node, the federation's budget per record");
    expect(existsSync(cli.path('wrong.json'))).toBe(false);
    const few = await cli.run(`${UPDATES} --nodes 4 --min-cohort 2 --out few.json --dir per-node`);
    expect(few.err).toContain('BELOW_MINIMUM');
    expect(few.err).toContain('minCohort is below genesis: 2, the federation was founded with 3');
  });

  test('defaults of task new and init go together', async () => {
    const made = [3, 4].map((nodes) =>
      cli.run(`task new --dataset synthetic --recipient r --nodes ${nodes} --out d${nodes}.json --dir per-record`),
    );
    for (const { code, err } of await Promise.all(made)) expect(code, err).toBe(0);
  });

  test.each([
    [`${UPDATES} --nodes 3 --unit record --out x.json`, '--unit record goes with --dataset'],
    [`${UPDATES} --nodes 3 --model mlp --out x.json`, '--model goes with --dataset'],
  ])('veilsum %s is wrong usage', async (args, why) => {
    const { code, err } = await cli.run(args);
    expect([code, err.includes(why)], err).toEqual([3, true]);
  });

  test('noise is said in words, with a warning where it hides the sum', async () => {
    const noisy = await cli.run(`${UPDATES} --nodes 3 --out noisy.json`);
    expect(noisy.out).toMatch(
      /noise in the sum of 3 nodes: about 2\.5 per value; an update of norm 1 over 100 values is about 0\.10 each/,
    );
    expect(noisy.out).toContain('WARNING: a sum of 3 nodes is mostly noise');
    const clear = await cli.run('task new --dimension 4 --recipient r --nodes 16 --rounds 1 --out clear.json');
    expect(clear.out).toContain('noise in the sum of 16 nodes');
    expect(clear.out).not.toContain('WARNING');
  });
});

describe('files that people write', { timeout: 60_000 }, () => {
  test('node new, policy new and recipient new write them, commented', async () => {
    await cli.run(`${UPDATES} --nodes 4 --out task.json`);
    await Promise.all(
      ['n1', 'r'].map((name) => cli.run(`keys join --dir ${name} --federation per-record/federation.json`)),
    );
    const wrote = ['node new --dir n1', 'policy new --dir n1', 'recipient new --dir r'].map((args) =>
      cli.run(`${args} --task task.json`),
    );
    for (const { code, err } of await Promise.all(wrote)) expect(code, err).toBe(0);
    expect(readFileSync(cli.path('n1', 'node.yaml'), 'utf8')).toContain('tasks: ["task.json"]');
    expect(readFileSync(cli.path('r', 'recipient.yaml'), 'utf8')).toContain('tasks: ["task.json"]');
    expect(existsSync(cli.path('n1', 'task.json'))).toBe(true);
    expect(readFileSync(cli.path('n1', 'policy.yaml'), 'utf8')).toMatch(
      /here epsilon 8 at delta 1e-5 .*\nbudgetRhoNano: /,
    );
    expect((await cli.run('node new --dir n1 --task task.json')).err).toContain('FILE_EXISTS');
    expect((await cli.run('node new --dir r --task task.json')).err).toContain('WRONG_ROLE');
    expect((await cli.run('policy new --dir n1 --task nope.json')).err).toContain(
      'the task file is missing: nope.json',
    );
  });

  test('what is wrong in them is said with line, field and what is valid', async () => {
    const told = async (yaml: string): Promise<string> => {
      writeFileSync(cli.path('n1', 'node.yaml'), yaml);
      return (await cli.run('node submit --dir n1 --update u.safetensors')).err;
    };
    expect(await told('tasks: [task.json]\npolicyy: x\n')).toMatch(
      /unknown field 'policyy' \(did you mean policy\?\); valid are tasks, policy, data, engine, listen/,
    );
    expect(await told('tasks: [task.json\nengine: "a secret\n')).toMatch(
      /not valid YAML or JSON: line [23], column 1: /,
    );
    expect(await told('tasks: 3\nengine: fast\n')).toMatch(
      /tasks: must be array, is number\n.*must be one of auto, kernel, node-seal/,
    );
    rmSync(cli.path('n1', 'node.yaml'));
    const missing = await cli.run('node submit --dir n1 --update u.safetensors');
    expect(missing.err).toContain("node.yaml ('veilsum node new' writes one");
  });

  test('a truncated update is named', async () => {
    const header = '{"w":{"dtype":"F32","shape":[100],"data_offsets":[0,400]}}';
    const bytes = Buffer.alloc(8 + header.length + 20);
    bytes.writeBigUInt64LE(BigInt(header.length));
    bytes.write(header, 8);
    writeFileSync(cli.path('u.safetensors'), bytes);
    writeFileSync(cli.path('n1', 'node.yaml'), 'tasks: [task.json]\n');
    const { err } = await cli.run('node submit --dir n1 --update u.safetensors');
    expect(err).toMatch(/BAD_TENSOR_FILE: u\.safetensors: .*is it truncated\?/);
  });
});

describe('what comes next', { timeout: 60_000 }, () => {
  test('is said so that it can be pasted', async () => {
    const founded = await cli.run(`${FOUND} --dir pasted`);
    const genesis = /^genesis ([0-9a-f]{64})$/m.exec(founded.out)![1]!;
    expect(founded.out).toContain(`--certificate NAME.crt --genesis ${genesis}`);
    expect((await cli.run('aggregator --dir a')).err).toMatch(
      /keys join --dir \S+ --federation federation.json', with --certificate a.crt/,
    );
    const joined = await cli.run(
      'keys join --dir a --federation pasted/federation.json --certificate pasted/certificates/a.crt',
    );
    expect(joined.out).toContain('enrolled like a node before it starts');
    const { code, err } = await cli.run(`${FOUND} --dir other --node n1/card.json`);
    expect([code, err.includes("enrol them with 'veilsum enrol CARD")], err).toEqual([3, true]);
  });

  test('help ends in one line break and leaves no two lines empty', async () => {
    for (const command of ['init', 'quorum', 'keys']) {
      const { out } = await cli.run([command, '--help']);
      expect(out).not.toMatch(/\n\n\n|\n\n$/);
    }
  });
});

describe("a federation on this machine, over tables of one's own", { timeout: 60_000 }, () => {
  const FEATURES = `name: own
version: 1
label: {column: won, positive: [yes], negative: [no]}
features:
  - {kind: number, column: seats, mean: 10, scale: 5}
  - {kind: levels, column: trade, levels: [retail, energy], base: retail}
`;
  const rows = Array.from({ length: 60 }, (_, i) => `${i},${i % 3 ? 'retail' : 'energy'},${i % 2 ? 'yes' : 'no'}`);

  test('init --local --features writes what each region fills in, and what does not fit is named before anything starts', async () => {
    writeFileSync(cli.path('own.yaml'), FEATURES);
    const made = await cli.run('init --local --dir own --features own.yaml --nodes 3');
    expect([made.code, made.err]).toEqual([0, '']);
    expect(made.out).toContain('own/parties/{node-1,node-2,node-3}/{rows.csv}');
    const config = 'own/parties/node-2/region.yaml';
    expect(made.out).toContain('node train --config own/parties/node-1/region.yaml --check');
    expect(readFileSync(cli.path(config), 'utf8')).toContain('# columns: "seats", "trade", "won"');
    const script = readFileSync(cli.path('own', 'start.sh'), 'utf8');
    expect(script.indexOf('\ncheck node-3')).toBeLessThan(script.indexOf('\nrun member-1'));
    expect(script).toContain('\ntrain node-3');
    // Not npx, which below no checkout would fetch whatever a registry has under our name.
    expect(script).not.toMatch(/^[^#]*npx/m);
    const launcher = /exec node '([^']+)'/.exec(script)?.[1];
    expect(launcher !== undefined && existsSync(launcher)).toBe(true);
    const check = () => cli.run(`node train --config ${config} --check`);
    expect((await check()).err).toContain('rows.csv');
    writeFileSync(cli.path('own', 'parties', 'node-2', 'rows.csv'), ['seats,trade,won', ...rows].join('\n'));
    const fits = await check();
    expect([fits.code, fits.err]).toEqual([0, '']);
    expect(fits.out).toContain('the feature file and the rows fit it');
    expect(fits.out).not.toContain('WARNING');
    writeFileSync(
      cli.path('own', 'parties', 'node-2', 'rows.csv'),
      ['seats,trade,won', ...rows.slice(0, 4)].join('\n'),
    );
    expect((await check()).out).toMatch(/WARNING: so few records.*'suppress'/);
    writeFileSync(cli.path('own', 'parties', 'node-2', 'rows.csv'), ['places,trade,won', ...rows].join('\n'));
    expect((await check()).err).toMatch(/MISSING_COLUMN.*"seats"/);
  });

  test.each([
    ['--features own.yaml --dataset synthetic', /exclude one another/],
    ['--dataset synthetic --nodes 3', /--nodes goes with --features or --dimension/],
    ['--features nowhere.yaml', /the feature file is missing: .*nowhere.yaml/],
  ])('init --local %s is refused by name, and nothing is written', async (flags, why) => {
    writeFileSync(cli.path('own.yaml'), FEATURES);
    const { code, err } = await cli.run(`init --local --dir none ${flags}`);
    expect(code).not.toBe(0);
    expect(err).toMatch(why);
    expect(existsSync(cli.path('none'))).toBe(false);
  });
});
