import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CommandLine } from './command.ts';

const folder = mkdtempSync(join(tmpdir(), 'veilsum-privacy-'));
afterAll(() => rmSync(folder, { recursive: true }));
const cli = new CommandLine(folder);

interface Row {
  readonly accountant: string;
  readonly noise: number;
  readonly epsilon: number;
  readonly sensitiveEpsilon?: number;
}

async function rows(args: string): Promise<Map<string, Row>> {
  const { code, out, err } = await cli.run(`privacy --json ${args}`);
  expect([code, err]).toEqual([0, '']);
  const parsed = JSON.parse(out) as { rows: Row[] };
  return new Map(parsed.rows.map((row) => [row.accountant, row]));
}

describe('veilsum privacy', () => {
  it('tells what noise costs: the accountants in their order', async () => {
    const of = await rows('--noise 20 --rounds 200');
    const [classic, zcdp, renyi, exact] = ['zCDP, classic', 'zCDP', 'Renyi', 'exact'].map((n) => of.get(n)!.epsilon);
    expect(classic).toBeGreaterThan(zcdp!);
    expect(zcdp).toBeGreaterThan(exact!);
    expect(renyi).toBeGreaterThan(exact!);
    expect(zcdp).toBeCloseTo(3.0, 0);
  });

  it('tells what noise an epsilon takes, and the two agree', async () => {
    const needed = await rows('--epsilon 8 --rounds 200');
    for (const [name, { noise }] of needed) {
      const { epsilon } = (await rows(`--noise ${noise} --rounds 200`)).get(name)!;
      expect(epsilon).toBeLessThanOrEqual(8.0001);
      expect(epsilon).toBeGreaterThan(7.99);
    }
  });

  it('knows sampled rounds: the published value of Opacus, and a tighter one', async () => {
    const of = await rows('--noise 1.5 --rate 0.04 --rounds 100');
    expect([...of.keys()]).toEqual(['Renyi, one order', 'Renyi', 'privacy loss']);
    expect(of.get('Renyi, one order')!.epsilon).toBeGreaterThanOrEqual(of.get('Renyi')!.epsilon);
    expect(of.get('privacy loss')!.epsilon).toBeLessThan(of.get('Renyi')!.epsilon);
    expect((await rows('--noise 1.5 --rate 0.04 --rounds 2250')).get('Renyi')!.epsilon).toBeCloseTo(7.32911117, 7);
  });

  it('says what a task costs, drawn records and sensitive columns with it, and shows the order to found with', async () => {
    const file = join(folder, 'task.json');
    const common = 'task new --dataset synthetic --nodes 4 --recipient owner --rounds 4';
    const made = await cli.run(`${common} --sample-rate 0.1 --sensitive seats --sensitive-share 0.2 --out ${file}`);
    expect([made.code, made.err]).toEqual([0, '']);
    expect(made.out).toMatch(/--renyi-order \d+/);
    const shown = await cli.run(`task show ${file}`);
    expect(shown.out).toMatch(/drawn +each record with probability 0.1/);
    expect(shown.out).toMatch(/sensitive +seats: a record moves their weights by 0.[12]\d* of the whole/);
    const of = await rows(`--task ${file} --rounds 4`);
    const { epsilon, sensitiveEpsilon } = of.get('Renyi, one order')!;
    expect(epsilon).toBeLessThanOrEqual(8.001);
    expect(epsilon).toBeGreaterThan(7.9);
    expect(sensitiveEpsilon).toBeLessThan(epsilon / 2);
    expect((await cli.run(`privacy --task ${file} --rate 0.5`)).code).toBe(3);
  });

  it('audit: attacks its own rounds, and catches those with a tenth of the noise', async () => {
    const { code, out } = await cli.run('privacy audit --rounds 4 --json');
    const said = JSON.parse(out) as { trials: number; honest: number; control: number; verdict: string };
    // One audit in a thousand may err on the honest side, by what its confidence says.
    expect([code, said.verdict, said.trials]).toEqual([0, 'holds', 1024]);
    expect(said.control).toBeGreaterThan(1);
    expect((await cli.run('privacy audit --canaries 3')).code).toBe(3);
  });

  it('leaves out who cannot tell, rather than to look for ever', async () => {
    const of = await rows('--epsilon 0.01 --rate 0.5 --rounds 10');
    expect([...of.keys()]).toEqual([]);
    expect([...(await rows('--epsilon 0.05')).keys()]).toEqual(['zCDP', 'zCDP, classic', 'exact']);
  });

  it.each([
    '--rounds 3',
    '--noise 1 --epsilon 1',
    '--noise NaN',
    '--noise 0',
    '--epsilon 1 --rate 0',
    '--noise 1 --delta 2',
    '--noise 1 --sensitive-share 1',
  ])('refuses %s as a usage error', async (args) => {
    const { code, out } = await cli.run(`privacy ${args}`);
    expect([code, out]).toEqual([3, '']);
  });
});
