import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it, vi } from 'vitest';
import { taskField } from '../../protocols/task.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { showTask, type TaskFlags, taskOf, writeTask } from '../../src/cli/task-new.ts';
import { runCompression } from '../../src/experiment/compression.ts';
import { quantiserOf } from '../../src/training/fit-noise.ts';

vi.mock('../../src/experiment/compression.ts', () => ({ runCompression: vi.fn() }));
const work = mkdtempSync(join(tmpdir(), 'veilsum-compression-'));
afterAll(() => rmSync(work, { recursive: true }));

const run = (...args: string[]) => buildProgram().exitOverride().parseAsync(args, { from: 'user' });

it('experiment compression asks for what its options say, and refuses the rest by name', async () => {
  const asked = async (...args: string[]) => {
    await run('experiment', 'compression', ...args);
    return vi.mocked(runCompression).mock.lastCall![0];
  };
  expect(await asked()).toMatchObject({
    ...{ dataset: 'synthetic', models: ['logistic', 'mlp'], unit: 'node', epsilon: 'none', isFull: false },
    ...{ bits: ['default', 4, 6, 8, 12, 16], keeps: [1, 0.3, 0.1], variants: ['plain', 'rotated', 'feedback'] },
    ...{ hidden: 256, rounds: 20, out: 'veilsum-compression' },
  });
  const few = await asked('leads', '--model', 'mlp', '--bits', '8', '--epsilon', '8', '--unit', 'record', '--full');
  expect(few).toMatchObject({ dataset: 'leads', models: ['mlp'], bits: [8], epsilon: 8, unit: 'record', isFull: true });
  for (const wrong of [
    '--bits 3',
    '--bits 8.5',
    '--keep 0',
    '--keep 1.1',
    '--variants turned',
    '--epsilon x',
    '--rounds 0',
    '--hidden 257',
  ])
    await expect(asked(...wrong.split(' ')), wrong).rejects.toThrow(wrong.split(' ')[0]!);
});

it('task new writes what was asked for and says what it saves; task show says it again', async () => {
  const out = join(work, 'task.json');
  const flags: TaskFlags = {
    ...{
      out,
      recipient: ['owner'],
      nodes: 4,
      window: 'first',
      dataset: 'leads',
      model: 'mlp',
      hidden: 64,
      unit: 'node',
    },
    ...{ bits: 8, keep: 0.3, rotate: true, epsilon: 1000, rounds: 3 },
  };
  const lines: string[] = [];
  await writeTask(flags, (line) => lines.push(line));
  const task = taskField.parse(JSON.parse(readFileSync(out, 'utf8')));
  expect(task).toMatchObject({ bits: 8, compression: { values: 3777, keepMicro: 300_000, rotation: true } });
  expect(quantiserOf(task).peak).toBeLessThan(task.clipMicro / 1e6);
  showTask(out, { delta: 1e-5 }, (line) => lines.push(line));
  const said = lines.filter((line) => line.includes('1,229 values are sent for 3,777 weights'));
  expect(said).toHaveLength(2);
  expect(said[1]).toMatch(/^compressed +8 bits a value/);
  expect(lines.filter((line) => line.includes('payload 5.4 kB, all values of as many bits 6.8 kB'))).toHaveLength(2);
  // A logistic regression has the least payload already.
  const { hidden: _, ...small } = flags;
  await writeTask({ ...small, model: 'logistic', out: join(work, 'small.json') }, (line) => lines.push(line));
  expect(lines.some((line) => line.includes('nothing is saved'))).toBe(true);
});

it('task new refuses what does not go together', async () => {
  const common = ['task', 'new', '--out', join(work, 'none.json'), '--recipient', 'r', '--nodes', '4'];
  await expect(run(...common, '--dataset', 'synthetic', '--hidden', '8')).rejects.toThrow(
    '--hidden goes with --model mlp',
  );
  await expect(run(...common, '--dimension', '100', '--keep', '0.5')).rejects.toThrow('go with --dataset');
  await expect(run(...common, '--dataset', 'synthetic', '--keep', '2')).rejects.toThrow('between 0 and 1');
  await expect(run(...common, '--dataset', 'synthetic', '--keep', '0.5', '--error-feedback')).rejects.toThrow(
    'unit node',
  );
  await expect(run(...common, '--dataset', 'synthetic', '--send-above', '0.1')).rejects.toThrow('claim no privacy');
  expect(taskOf({ recipient: ['r'], nodes: 4, window: 'w', dimension: 100_000, bits: 16 }).task.bits).toBe(16);
});
