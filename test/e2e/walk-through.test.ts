import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../src/platform/free-port.ts';
import { COMPILED } from './compile-cache.ts';

const root = resolve(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'veilsum-walk-'));
let script: string;

/** The script as it is printed, on ports that are free. */
beforeAll(async () => {
  const page = readFileSync(join(root, 'docs', 'walk-through.md'), 'utf8');
  script = /^```sh\n(.*?)^```$/ms.exec(page)![1]!;
  for (const [address] of script.matchAll(/127\.0\.0\.1:74\d\d/g))
    script = script.replace(address, `127.0.0.1:${await freePort()}`);
  mkdirSync(join(folder, 'bin'));
  const command = `#!/bin/sh\nexec ${process.execPath} --disable-warning=ExperimentalWarning ${join(root, 'src/main.ts')} "$@"\n`;
  writeFileSync(join(folder, 'bin', 'veilsum'), command, { mode: 0o755 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('the walk-through leads from keys to an audited sum, as printed', { timeout: 400_000 }, async () => {
  const env = { ...COMPILED, PATH: `${join(folder, 'bin')}:${process.env['PATH']}` };
  const { stdout } = await promisify(execFile)('sh', ['-c', script], { cwd: folder, env, maxBuffer: 1 << 24 });
  const sum = JSON.parse(readFileSync(join(folder, 'sum.json'), 'utf8')) as { nodes: number; integers: number[] };
  expect([sum.nodes, sum.integers.length]).toEqual([3, 16]);
  expect(stdout).toMatch(/federation +can open rounds of it/);
  expect(stdout).toContain('verified');
  // What task new printed is what init was told.
  const printed = /veilsum init .* (--unit .*)$/m.exec(stdout)![1]!;
  expect(script).toContain(printed);
  // Collected output of a party is JSON, line by line.
  const lines = readFileSync(join(folder, 'member-1.log'), 'utf8').trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { event: string }).event)).toContain('running');
});
