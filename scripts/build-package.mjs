// Makes dist/, what a package runs: TypeScript compiled to JavaScript, with imports rewritten, and the files that the
// program reads beside itself. Started by `npm pack` and `npm publish` through `prepack`.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const launcher = join(root, 'src', 'launcher.mjs');
const dist = join(root, 'dist');

/** Runs a development tool or script of this checkout under the bundled Node. Ends this process when it fails. */
function run(...args) {
  const { status, error } = spawnSync(process.execPath, [launcher, ...args], { cwd: root, stdio: ['ignore', 2, 2] });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? 1);
}

/** Copies the files of a folder whose names end so. */
function copy(from, to, ending) {
  mkdirSync(join(dist, to), { recursive: true });
  const names = readdirSync(join(root, from)).filter((name) => name.endsWith(ending));
  if (names.length === 0) throw new Error(`${from} holds no *${ending}: is it built?`);
  for (const name of names) {
    copyFileSync(join(root, from, name), join(dist, to, name));
    chmodSync(join(dist, to, name), 0o644);
  }
}

rmSync(dist, { recursive: true, force: true });
run('--script', join('scripts', 'build-kernel.mjs'));
run('--script', join('scripts', 'build-auditor.mjs'));
run('--bin', 'tsc', '--project', 'tsconfig.build.json');
copy('build', 'build', '.wasm');
copy('build', 'build', 'auditor.html');
copy(join('src', 'learning', 'schemas'), join('src', 'learning', 'schemas'), '.json');
copy(join('src', 'scoring', 'words'), join('src', 'scoring', 'words'), '.json');
for (const ending of ['.html', '.css']) copy(join('src', 'scoring', 'page'), join('src', 'scoring', 'page'), ending);
console.error('veilsum: dist/ is built');
