import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { CommandLine } from './command.ts';

const cli = new CommandLine(tmpdir());

async function rows(args: string): Promise<Map<string, { noise: number; epsilon: number }>> {
  const { code, out, err } = await cli.run(`privacy --json ${args}`);
  expect([code, err]).toEqual([0, '']);
  const parsed = JSON.parse(out) as { rows: { accountant: string; noise: number; epsilon: number }[] };
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
    expect([...of.keys()]).toEqual(['Renyi', 'privacy loss']);
    expect(of.get('privacy loss')!.epsilon).toBeLessThan(of.get('Renyi')!.epsilon);
    expect((await rows('--noise 1.5 --rate 0.04 --rounds 2250')).get('Renyi')!.epsilon).toBeCloseTo(7.32911117, 7);
  });

  it.each([
    '--rounds 3',
    '--noise 1 --epsilon 1',
    '--noise NaN',
    '--noise 0',
    '--epsilon 1 --rate 0',
    '--noise 1 --delta 2',
  ])('refuses %s as a usage error', async (args) => {
    const { code, out } = await cli.run(`privacy ${args}`);
    expect([code, out]).toEqual([3, '']);
  });
});
