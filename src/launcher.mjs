#!/usr/bin/env node
// Plain JavaScript for Node >= 18: finds a Node that can run Veilsum (this one, or the one npm installed) and hands over.
//   veilsum ARGS...            runs the command line
//   --script FILE ARGS...      runs a script of this checkout
//   --bin NAME ARGS...         runs a development tool of this checkout
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const minimum = [24, 2];
const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > minimum[0] || (major === minimum[0] && minor >= minimum[1]);
}

function findRuntime() {
  if (isNewEnough(process.versions.node)) return process.execPath;
  const platform = process.platform === 'win32' ? 'win' : process.platform;
  for (const name of [`node-${platform}-${process.arch}`, `node-bin-${process.platform}-${process.arch}`]) {
    try {
      const manifest = require.resolve(`${name}/package.json`);
      return join(dirname(manifest), require(manifest).bin.node);
    } catch {
      // not installed for this platform: try the next name
    }
  }
  console.error(
    `veilsum needs Node ${minimum.join('.')} or newer. This is ${process.version}, and no bundled runtime is installed for ` +
      `${process.platform}-${process.arch}. Install a newer Node, or run npm ci without --omit=optional.`,
  );
  process.exit(1);
}

function findEntry([first, second, ...rest]) {
  if (first === '--script' && second) return [resolve(root, second), ...rest];
  if (first === '--bin' && second) {
    const packages = { biome: '@biomejs/biome', tsc: 'typescript', asc: 'assemblyscript' };
    const name = packages[second] ?? second;
    let folder = dirname(fileURLToPath(import.meta.url));
    while (!existsSync(join(folder, 'node_modules', name, 'package.json')) && dirname(folder) !== folder)
      folder = dirname(folder);
    const manifest = require(join(folder, 'node_modules', name, 'package.json'));
    const bin = typeof manifest.bin === 'string' ? manifest.bin : manifest.bin[second];
    return [join(folder, 'node_modules', name, bin), ...rest];
  }
  // A packed package ships compiled JavaScript; a checkout runs its TypeScript as it is.
  const compiled = join(root, 'dist', 'src', 'main.js');
  const source = join(root, 'src', 'main.ts');
  const main = existsSync(source) ? source : compiled;
  return [main, ...process.argv.slice(2)];
}

const runtime = findRuntime();
const environment = { ...process.env, PATH: dirname(runtime) + delimiter + (process.env.PATH ?? '') };
const child = spawn(runtime, ['--disable-warning=ExperimentalWarning', ...findEntry(process.argv.slice(2))], {
  stdio: 'inherit',
  env: environment,
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', (error) => {
  console.error(`veilsum: cannot start ${runtime}: ${error.message}`);
  process.exit(1);
});
child.on('exit', (code, signal) => process.exit(signal ? 128 + (constants.signals[signal] ?? 0) : (code ?? 1)));
