import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const MAX_LINES = 300;

function filesUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

interface Import {
  readonly file: string;
  readonly from: string;
}

/** Static and dynamic imports, also of types: a layer that names another layer's types depends on it. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found = [...text.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|\bimport\s+)['"]([^'"]+)['"]/g)];
  return found.map((match) => ({ file, from: match[1]! }));
}

const crypto = filesUnder('crypto').filter((file) => !file.startsWith('crypto/kernel/'));
const protocols = filesUnder('protocols');
const src = filesUnder('src');

/** Packages that are pure: no sockets, files, clock or randomness of their own. */
const PURE = ['@noble/', 'zod', 'node-seal'];

function offenders(files: readonly string[], allowed: (from: string, file: string) => boolean): string[] {
  return files
    .flatMap(importsOf)
    .filter(({ file, from }) => !allowed(from, file))
    .map(({ file, from }) => `${file} imports ${from}`);
}

function target(file: string, from: string): string {
  return relative(root, resolve(root, file, '..', from));
}

describe('layers: crypto <- protocols <- src', () => {
  it('crypto imports itself and pure packages only', () => {
    expect(
      offenders(crypto, (from, file) =>
        from.startsWith('.') ? target(file, from).startsWith('crypto/') : PURE.some((name) => from.startsWith(name)),
      ),
    ).toEqual([]);
  });

  it('protocols import crypto, themselves and pure packages only', () => {
    const inside = (path: string): boolean => path.startsWith('crypto/') || path.startsWith('protocols/');
    expect(
      offenders(protocols, (from, file) =>
        from.startsWith('.') ? inside(target(file, from)) : from === 'zod' || from.startsWith('@noble/'),
      ),
    ).toEqual([]);
  });

  it('only engine-seal.ts imports node-seal', () => {
    const importers = [...crypto, ...protocols, ...src].filter((file) =>
      importsOf(file).some(({ from }) => from.startsWith('node-seal')),
    );
    expect(importers).toEqual(['crypto/engine-seal.ts']);
  });

  it('src imports neither tests nor benchmarks', () => {
    const outside = offenders(
      src,
      (from, file) => !from.startsWith('.') || !/^(test|bench|scripts)\//.test(target(file, from)),
    );
    // The command line runs benchmarks of a checkout on demand.
    expect(outside.filter((line) => !line.startsWith('src/cli/bench'))).toEqual([]);
  });

  it('pure code reaches for no clock, randomness, environment or console', () => {
    const impure =
      /\b(?:Math\.random|Date\.now|new Date|performance\.now|process\.|console\.|globalThis\.crypto|setTimeout|setInterval|fetch\()/;
    const found = [...crypto, ...protocols].filter((file) => {
      const code = readFileSync(join(root, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
      return impure.test(code);
    });
    expect(found).toEqual([]);
  });

  it(`no file is longer than ${MAX_LINES} lines`, () => {
    const long = [...crypto, ...protocols, ...src, ...filesUnder('bench')]
      .map((file) => ({ file, lines: readFileSync(join(root, file), 'utf8').split('\n').length - 1 }))
      .filter(({ lines }) => lines > MAX_LINES);
    expect(long).toEqual([]);
  });

  it('a layer check can fail', () => {
    expect(offenders(['test/layers.test.ts'], (from) => from !== 'node:fs')).toEqual([
      'test/layers.test.ts imports node:fs',
    ]);
  });
});
