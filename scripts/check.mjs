// Everything a developer runs before handing in work: generated code, lint, types, tests. Stops at the first failure.
//   npm test                   all of it
//   npm test -- test/property  only the tests whose path matches, after the quick checks
import { spawnSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const launcher = join(root, 'src', 'launcher.mjs');
const steps = [
  ['kernel', ['--script', 'scripts/build-kernel.mjs']],
  ['generated code', ['--script', 'scripts/proto.mjs', '--check']],
  ['lint', ['--bin', 'biome', 'check', '--error-on-warnings', '.']],
  ['types', ['--bin', 'tsc', '--noEmit']],
  ['tests', ['--bin', 'vitest', 'run', ...process.argv.slice(2)]],
];
for (const [name, args] of steps) {
  const started = performance.now();
  console.log(`\n── ${name}`);
  const { status } = spawnSync(process.execPath, [launcher, ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) {
    console.error(`\n${name} failed. What to do: read the lines above; 'npm run format' mends most lint findings.`);
    process.exit(status ?? 1);
  }
  console.log(`   ${name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
}
