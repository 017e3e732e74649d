import { expect, it, vi } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import { runExperiment } from '../../src/experiment/experiment.ts';
import { runRobust } from '../../src/experiment/robust.ts';
import { DATASETS } from '../../src/learning/dataset-names.ts';

vi.mock('../../src/experiment/experiment.ts', () => ({ runExperiment: vi.fn() }));
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

it('experiment all is everything in one command, with one job over processes', async () => {
  const asked = async (...args: string[]) => {
    await buildProgram()
      .exitOverride()
      .parseAsync(['experiment', ...args], { from: 'user' });
    return vi.mocked(runExperiment).mock.lastCall![0];
  };
  const all = await asked('all', '--model', 'both', '--processes', 'leads');
  expect(all.datasets).toEqual(DATASETS);
  expect(all).toMatchObject({ models: ['logistic', 'mlp'], epsilons: ['none', 8, 3, 1, 0.5] });
  expect(all.processes?.dataset).toBe('leads');
  expect((await asked('bank', '--processes', 'bank', '--process-rounds', '20')).processes).toEqual({
    dataset: 'bank',
    rounds: 20,
  });
  expect((await asked('bank')).processes).toBeUndefined();
  expect((await asked('bank', '--jobs', '3')).jobs).toBe(3);
  for (const wrong of ['--processes leads', '--process-rounds 3', '--processes bank --process-rounds 0', '--jobs 0'])
    await expect(asked('bank', ...wrong.split(' ')), wrong).rejects.toThrow(/--process|--jobs/);
});
