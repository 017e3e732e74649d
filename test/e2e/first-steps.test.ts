import { existsSync, mkdtempSync, rmSync } from 'node:fs';
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
