// Plants bugs, one at a time, into a copy of the tree, and lets the simulator find them. What ships never holds one.
//   node src/launcher.mjs --script scripts/simulate-planted.mjs            all of test/simulate/planted
//   node src/launcher.mjs --script scripts/simulate-planted.mjs NAME...    some of them
// A patch begins with a sentence and the number of seeds within which it must be found. Exit code 1 if one is not found.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const folder = join(root, 'test', 'simulate', 'planted');
const asked = process.argv.slice(2);
const patches = readdirSync(folder)
  .filter((name) => name.endsWith('.patch'))
  .map((name) => name.slice(0, -'.patch'.length))
  .filter((name) => asked.length === 0 || asked.includes(name));

/** A copy that shares only what no patch touches. */
function copyTree() {
  const copy = mkdtempSync(join(tmpdir(), 'veilsum-planted-'));
  for (const part of ['crypto', 'protocols', 'src', 'proto', 'build', 'package.json']) {
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

function run(command, args, cwd) {
  return spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 26 });
}

/** @returns the seed that found it and the invariant, or null. */
function findIn(copy, seeds) {
  const options = ['--seeds', String(seeds), '--steps', '1e12', '--real-every', '0'];
  const { stdout, status } = run(process.execPath, [join('src', 'simulate', 'main.ts'), ...options], copy);
  if (status === 0) return null;
  const found = /^seed (\d+), \w+ primitives, step (\d+)\n(S\d+)?/m.exec(stdout);
  if (found === null) throw new Error(`the simulator itself failed:\n${stdout.slice(-2000)}`);
  return { seed: Number(found[1]), step: Number(found[2]), id: found[3] ?? 'S14' };
}

const copy = copyTree();
let missed = 0;
console.log(
  `${'planted bug'.padEnd(30)}${'within'.padStart(8)}${'found by'.padStart(10)}${'step'.padStart(8)}  invariant`,
);
try {
  for (const name of patches) {
    const file = join(folder, `${name}.patch`);
    const seeds = Number(/^Found within (\d+) seeds\.$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? 250);
    const applied = run('git', ['apply', file], copy);
    if (applied.status !== 0) throw new Error(`${name} does not apply any more:\n${applied.stderr}`);
    const found = findIn(copy, seeds);
    const undone = run('git', ['apply', '--reverse', file], copy);
    if (undone.status !== 0) throw new Error(undone.stderr);
    if (found === null) missed++;
    const result = found === null ? 'NOT FOUND' : `seed ${found.seed}`;
    console.log(
      `${name.padEnd(30)}${String(seeds).padStart(8)}${result.padStart(10)}${String(found?.step ?? '').padStart(8)}  ${found?.id ?? ''}`,
    );
  }
} finally {
  rmSync(copy, { recursive: true });
}
process.exitCode = missed === 0 ? 0 : 1;
