import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
let folder: string;
/** How the package got its dependencies: said in the output, so that nobody takes one for the other. */
let how = '';

function run(command: string, args: readonly string[], cwd: string, timeoutMs = 90_000) {
  const result = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: timeoutMs,
    shell: process.platform === 'win32',
  });
  return { code: result.status, out: result.stdout ?? '', err: result.stderr ?? '' };
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'veilsum-pack-'));
  const packed = run('npm', ['pack', '--json', '--pack-destination', folder], root);
  expect(packed.code, packed.err).toBe(0);
  const tarball = join(folder, JSON.parse(packed.out.slice(packed.out.indexOf('['))).at(0).filename);
  run('npm', ['init', '-y'], folder);
  const flags = ['--omit=dev', '--omit=optional', '--prefer-offline', '--no-audit', '--no-fund'];
  const installed = run('npm', ['install', ...flags, tarball], folder, 80_000);
  how = 'npm install from the registry';
  if (installed.code !== 0 || !existsSync(join(folder, 'node_modules', 'veilsum'))) {
    // Without a registry: the same tarball, with the dependencies of this checkout.
    how = `unpacked beside this checkout's dependencies (npm install ended with ${installed.code})`;
    rmSync(join(folder, 'node_modules'), { recursive: true, force: true });
    mkdirSync(join(folder, 'unpacked'));
    expect(run('tar', ['-xzf', tarball, '-C', join(folder, 'unpacked')], folder).code).toBe(0);
    symlinkSync(join(root, 'node_modules'), join(folder, 'unpacked', 'package', 'node_modules'), 'junction');
  }
  console.log(`package: ${how}`);
}, 180_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function veilsum(...args: string[]) {
  const unpacked = join(folder, 'unpacked', 'package', 'src', 'launcher.mjs');
  if (existsSync(unpacked)) return run(process.execPath, [unpacked, ...args], folder);
  return run('npx', ['--no-install', 'veilsum', ...args], folder);
}

test('the installed package runs, compiled', () => {
  const help = veilsum('--help');
  expect(help.code, help.err).toBe(0);
  expect(help.out).toContain('coordinator');
  const at = existsSync(join(folder, 'unpacked'))
    ? join(folder, 'unpacked', 'package')
    : join(folder, 'node_modules', 'veilsum');
  expect(existsSync(join(at, 'dist', 'src', 'main.js'))).toBe(true);
  expect(existsSync(join(at, 'src', 'main.ts'))).toBe(false);
});

test('it founds a federation with tables, with nothing of a checkout at hand', () => {
  const made = veilsum('init', '--local', '--dir', 'fed', '--dataset', 'synthetic');
  expect(made.code, made.err).toBe(0);
  expect(existsSync(join(folder, 'fed', 'parties', 'coordinator', 'card.json'))).toBe(true);
});

test('it writes the auditor’s page', () => {
  const written = veilsum('audit', '--page', 'auditor.html');
  expect(written.code, written.err).toBe(0);
  const page = readFileSync(join(folder, 'auditor.html'));
  expect(written.out).toContain(createHash('sha256').update(page).digest('hex'));
  expect(page.toString()).toContain('Veilsum auditor');
});

test('benches are not in it, and it says so', () => {
  const bench = veilsum('bench', 'noise');
  expect(bench.code).toBe(1);
  expect(bench.err).toMatch(/^veilsum: NO_BENCHES: /m);
});
