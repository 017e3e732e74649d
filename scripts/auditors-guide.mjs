// Runs the auditor's guide of SECURITY.md on a transcript: exactly the commands that are printed there, and compares what
// they print with what the guide says. Usage: auditors-guide.mjs FOLDER   (with log/, policy.txt and blobs/)
//
// Where its programs are neither installed nor to be had, that is said and the exit code is 0.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const folder = process.argv[2];
if (folder === undefined) {
  console.error('usage: auditors-guide.mjs FOLDER');
  process.exit(3);
}

/** The guide's steps: commands, and what they must print (null: whatever they print). */
function readSteps() {
  const text = readFileSync(join(root, 'SECURITY.md'), 'utf8');
  const section = /^## Auditor's guide\n([\s\S]*?)(?=^## )/m.exec(text)?.[1];
  if (section === undefined) throw new Error("SECURITY.md has no section Auditor's guide");
  const steps = [];
  for (const [, kind, body] of section.matchAll(/^```(sh|text)\n([\s\S]*?)^```$/gm)) {
    if (kind === 'sh') steps.push({ commands: body, expected: null });
    else steps.at(-1).expected = body;
  }
  return steps;
}

/** `<...>` is any text; a line `...` is any number of lines like the one before. */
function patternOf(expected) {
  const escaped = (line) => {
    const parts = line.split(/<[a-z0-9. -]+>/).map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    return parts.join('.+');
  };
  const lines = expected.trimEnd().split('\n');
  const source = lines.map((line, i) => (line === '...' ? `(?:${escaped(lines[i - 1])}\n)*` : `${escaped(line)}\n`));
  return new RegExp(`^${source.join('')}$`);
}

const isThere = (command, ...args) => spawnSync(command, args).status === 0;
const isInstalled = () =>
  isThere('go', 'version') &&
  isThere('openssl', 'version') &&
  existsSync('/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog');

const scratch = mkdtempSync(join(tmpdir(), 'veilsum-guide-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
for (const name of ['log', 'policy.txt', 'blobs']) {
  cpSync(join(resolve(folder), name), join(scratch, name), { recursive: true });
}

const environment = {
  ...process.env,
  VEILSUM: root,
  GOCACHE: process.env.GOCACHE ?? join(scratch, 'go-cache'),
  LC_ALL: 'C.UTF-8',
};
/** As a person types them: in one shell, in the folder. */
function run(commands) {
  return spawnSync('bash', ['-c', commands], { cwd: scratch, env: environment, encoding: 'utf8' });
}

const [install, ...steps] = readSteps();
if (isInstalled()) {
  console.log('step 1: installed already');
} else {
  const { status, stderr, error } = run(`apt-get update && ${install.commands}`);
  if (status !== 0 || !isInstalled()) {
    console.log(`SKIPPED: the auditor's guide, since its programs cannot be installed here: ${error ?? stderr.trim()}`);
    process.exit(0);
  }
  console.log('step 1: installed');
}

// What an auditor is handed.
const prove = ['log', 'prove', '0', '--log', 'log', '--out', 'leaf.tlog-proof', '--leaf-out', 'leaf.json'];
const handed = spawnSync(process.execPath, [join(root, 'src/launcher.mjs'), ...prove], {
  cwd: scratch,
  encoding: 'utf8',
});
if (handed.status !== 0) throw new Error(`no proof to check: ${handed.stderr}`);

let failed = 0;
for (const [i, { commands, expected }] of steps.entries()) {
  const { status, stdout, stderr } = run(commands);
  const good = status === 0 && (expected === null || patternOf(expected).test(stdout));
  console.log(`step ${i + 2}: ${good ? 'as expected' : `NOT as expected (exit code ${status})`}`);
  console.log(stdout.replaceAll(/^/gm, '  ').trimEnd());
  if (good) continue;
  failed++;
  console.log(`${stderr}expected:\n${expected ?? ''}`);
}
if (steps.length < 7) throw new Error('the guide has fewer steps than it had');
process.exitCode = failed === 0 ? 0 : 1;
