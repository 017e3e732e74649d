// Lints proto/ and generates proto/gen. With --check it generates into a temporary folder and fails on any difference.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const require = createRequire(import.meta.url);
const buf = join(dirname(require.resolve('@bufbuild/buf/package.json')), 'bin', 'buf');

/** Runs buf with this runtime, so that a machine's older node is never asked. Throws when buf finds fault. */
function runBuf(...args) {
  const result = spawnSync(process.execPath, [buf, ...args], { cwd: root, stdio: 'inherit' });
  if (result.error) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function filesBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

/** Names of files that are not the same in both folders. */
function differences(expected, actual) {
  const names = new Set([...filesBelow(expected), ...filesBelow(actual)]);
  const read = (folder, name) => {
    try {
      return readFileSync(join(folder, name), 'utf8');
    } catch {
      return null; // missing on this side: a difference
    }
  };
  return [...names].filter((name) => read(expected, name) !== read(actual, name));
}

runBuf('lint', 'proto');
runBuf('format', '--diff', '--exit-code', 'proto');
const committed = join(root, 'proto', 'gen');
if (process.argv.includes('--check')) {
  const fresh = mkdtempSync(join(tmpdir(), 'veilsum-proto-'));
  try {
    runBuf('generate', 'proto', '--template', 'proto/buf.gen.yaml', '--output', fresh);
    const changed = differences(join(fresh, 'gen'), committed);
    if (changed.length > 0) {
      console.error(`proto/gen is not what proto/ generates (npm run proto): ${changed.join(', ')}`);
      process.exitCode = 1;
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
} else {
  rmSync(committed, { recursive: true, force: true });
  runBuf('generate', 'proto', '--template', 'proto/buf.gen.yaml', '--output', 'proto');
}
