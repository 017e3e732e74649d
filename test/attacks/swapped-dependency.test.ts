import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

// A registry, or who sits before it, gives out another package under the name and version that the lock file has.

const root = resolve(import.meta.dirname, '../..');
const read = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'));

interface Locked {
  readonly version: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly link?: boolean;
}

describe('our lock file', () => {
  const { packages } = read('package-lock.json') as { packages: Record<string, Locked> };
  const locked = Object.entries(packages).filter(([path]) => path !== '');

  it('pins every package by SHA-512, whoever gives it out', () => {
    expect(locked.length).toBeGreaterThan(100);
    // Without `resolved` a package comes from the registry that npm is told of; a URL, a folder or a repository would be named.
    const loose = locked.filter(([, { resolved, integrity, link }]) => {
      return resolved !== undefined || link !== undefined || !/^sha512-[\w+/]{86}==$/.test(integrity ?? '');
    });
    expect(loose.map(([path]) => path)).toEqual([]);
  });

  it('is for exactly what package.json asks for, and CI installs by it', () => {
    const { dependencies = {}, devDependencies = {}, optionalDependencies = {} } = read('package.json');
    const asked = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies });
    const differing = asked.filter(([name, version]) => packages[`node_modules/${name}`]?.version !== version);
    expect(differing).toEqual([]);
    const ci = readFileSync(join(root, '.ci/run'), 'utf8');
    expect(ci).toMatch(/^npm ci$/m);
    expect(ci).not.toMatch(/npm (install|i|update)\b/);
  });
});

describe('npm ci', () => {
  const folder = mkdtempSync(join(tmpdir(), 'veilsum-swapped-'));
  let registry: Server;
  /** What is given out for dep-1.0.0.tgz. */
  let served: Buffer;
  const tarballs: Record<'honest' | 'swapped', Buffer> = { honest: Buffer.alloc(0), swapped: Buffer.alloc(0) };

  beforeAll(async () => {
    for (const kind of ['honest', 'swapped'] as const) {
      mkdirSync(join(folder, kind, 'package'), { recursive: true });
      writeFileSync(
        join(folder, kind, 'package', 'package.json'),
        '{"name":"dep","version":"1.0.0","main":"index.js"}',
      );
      writeFileSync(join(folder, kind, 'package', 'index.js'), `module.exports = '${kind}';\n`);
      const packed = spawnSync('tar', ['-czf', join(folder, `${kind}.tgz`), '-C', join(folder, kind), 'package']);
      expect(packed.status).toBe(0);
      tarballs[kind] = readFileSync(join(folder, `${kind}.tgz`));
    }
    registry = createServer((_request, response) => response.end(served));
    await new Promise<void>((ready) => registry.listen(0, '127.0.0.1', ready));
  });
  afterAll(() => {
    registry.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Installs by a lock file. @returns what is there afterwards, or npm's code. */
  async function installed(name: string, integrity: string | undefined): Promise<string> {
    const project = join(folder, `by ${name}`);
    mkdirSync(project);
    const url = `http://127.0.0.1:${(registry.address() as AddressInfo).port}/dep-1.0.0.tgz`;
    const locked = { version: '1.0.0', resolved: url, ...(integrity === undefined ? {} : { integrity }) };
    const asking = { name: 'project', version: '1.0.0', dependencies: { dep: '1.0.0' } };
    writeFileSync(join(project, 'package.json'), JSON.stringify(asking));
    const lock = { ...asking, lockfileVersion: 3, packages: { '': asking, 'node_modules/dep': locked } };
    writeFileSync(join(project, 'package-lock.json'), JSON.stringify(lock));
    const flags = [
      'ci',
      '--no-audit',
      '--no-fund',
      '--ignore-scripts',
      '--fetch-retries=0',
      `--cache=${project}/cache`,
    ];
    const npm = spawn('npm', flags, { cwd: project, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    npm.stderr.on('data', (text: Buffer) => {
      said += text.toString();
    });
    const code = await new Promise((ended) => npm.once('close', ended));
    const path = join(project, 'node_modules', 'dep', 'index.js');
    if (code === 0) return readFileSync(path, 'utf8').trim();
    expect(existsSync(path)).toBe(false);
    return /npm (?:error|ERR!) code (\w+)/.exec(said)?.[1] ?? said;
  }

  it('refuses a package that was swapped behind the lock file', async () => {
    const integrity = `sha512-${createHash('sha512').update(tarballs.honest).digest('base64')}`;
    served = tarballs.honest;
    expect(await installed('as-locked', integrity)).toBe("module.exports = 'honest';");
    served = tarballs.swapped;
    expect(await installed('swapped', integrity)).toBe('EINTEGRITY');
    expect(await installed('control', undefined)).toBe("module.exports = 'swapped';"); // control: a lock that pins no hash
  }, 60_000);
});
