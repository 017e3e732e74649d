import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const security = readFileSync(join(root, 'SECURITY.md'), 'utf8');

/** Tests named in a text as `folder/name`, where the folder is one of the suite's. */
function testsNamed(text: string): string[] {
  const folders = readdirSync(join(root, 'test'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  const named = [...text.matchAll(/`(?:test\/)?([a-z0-9]+)\/([a-z0-9-]+)(?:\.test\.ts)?`/g)];
  return named.filter(([, folder]) => folders.includes(folder!)).map(([, folder, name]) => `${folder}/${name}`);
}

/** Rows of the first table below a heading, cells by column. */
function rowsBelow(heading: string): string[][] {
  const [, below] = security.split(`${heading}\n`);
  const [table] = below!.trimStart().split('\n\n');
  return table!
    .split('\n')
    .slice(2)
    .map((line) => line.split('|').slice(1, -1));
}

const missing = (tests: readonly string[]): string[] =>
  tests.filter((name) => !existsSync(join(root, 'test', `${name}.test.ts`)));

describe('SECURITY.md', () => {
  const claims = rowsBelow('## What is claimed');

  it('every claim says against whom, on what it rests, and names a test that exists', () => {
    expect(claims.length).toBeGreaterThan(8);
    for (const [property, ...rest] of claims) {
      for (const cell of rest) expect([property, cell.trim().length > 0]).toEqual([property, true]);
      const tests = testsNamed(rest.at(-1)!);
      expect([property, tests.length > 0]).toEqual([property, true]);
      expect([property, missing(tests)]).toEqual([property, []]);
    }
  });

  it('names no test anywhere that is not there', () => {
    expect(missing(testsNamed(security))).toEqual([]);
  });

  it('names every file of an attack on a promise', () => {
    const named = testsNamed(security);
    const attacks = readdirSync(import.meta.dirname).filter((name) => /^p\d\d/.test(name));
    expect(attacks.length).toBeGreaterThan(15);
    for (const file of attacks) expect(named).toContain(`attacks/${file.slice(0, -'.test.ts'.length)}`);
  });

  it('control: a test that does not exist is missed', () => {
    expect(missing(testsNamed('see `attacks/p99-nothing` and `property/sharing`'))).toEqual(['attacks/p99-nothing']);
  });
});

describe('an attack on a promise', () => {
  const files = readdirSync(import.meta.dirname).filter((name) => /^p\d\d/.test(name));

  it.each(files)('%s names its promise and has a positive control', (file) => {
    const text = readFileSync(join(import.meta.dirname, file), 'utf8');
    const id = file.match(/^p(\d\d)(b?)/)!;
    expect(text).toMatch(new RegExp(`\\bP${Number(id[1])}${id[2]}\\b`));
    expect(text).toMatch(/[Cc]ontrol/);
  });
});
