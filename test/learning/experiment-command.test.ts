import { expect, it, vi } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import { runRobust } from '../../src/experiment/robust.ts';

vi.mock('../../src/experiment/robust.ts', () => ({ runRobust: vi.fn() }));

it('experiment robust has its own options, also those that experiment has too', async () => {
  const asked = async (...args: string[]) => {
    await buildProgram().parseAsync(['experiment', 'robust', ...args], { from: 'user' });
    return vi.mocked(runRobust).mock.lastCall![0];
  };
  // Into a folder of its own: the report of an experiment has the same file names.
  expect(await asked()).toMatchObject({ dataset: 'synthetic', out: 'veilsum-robust', rounds: 10, seed: 1 });
  expect(await asked('synthetic', '--out', 'elsewhere', '--rounds', '3', '--seed', '2')).toMatchObject({
    out: 'elsewhere',
    rounds: 3,
    seed: 2,
  });
});
