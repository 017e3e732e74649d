import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Child, FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';

// A round begun by the programs of the last release goes on under these: their folders, their leaves, their messages.

/** The sources of 0.1.0: the commit that kept its transcript. A later release moves this on, and with it what is supported. */
const RELEASE = 'c401bf7';
const root = resolve(import.meta.dirname, '../..');
const isHere = spawnSync('git', ['cat-file', '-e', `${RELEASE}^{commit}`], { cwd: root }).status === 0;
if (!isHere) console.log(`test/faults/upgrade: 1 test skipped, the history of this checkout does not reach ${RELEASE}`);

const OLD = ['coordinator', 'aggregator-1', 'member-1', 'owner', 'one', 'two'];
const nodes = ['one', 'two', 'slow'];
let sources = '';
let lab: FederationLab | undefined;

beforeAll(() => {
  if (!isHere) return;
  sources = mkdtempSync(join(tmpdir(), 'veilsum-release-'));
  const archive = execFileSync('git', ['archive', RELEASE], { cwd: root, maxBuffer: 1 << 28 });
  execFileSync('tar', ['-x', '-C', sources], { input: archive });
  for (const name of ['node_modules', 'build']) {
    if (existsSync(join(root, name)) && !existsSync(join(sources, name)))
      symlinkSync(join(root, name), join(sources, name));
  }
  mkdirSync(join(sources, 'build'), { recursive: true });
});
afterAll(async () => {
  await lab?.[Symbol.asyncDispose]();
  if (sources !== '') rmSync(sources, { recursive: true, force: true });
}, 60_000);

/** Ends a process as an operator does, and waits for it. */
async function stop({ process: child, ended }: Child): Promise<void> {
  child.kill('SIGTERM');
  await ended;
}

it.skipIf(!isHere)(
  'D13: no round is lost by an upgrade: each party is replaced in the middle of one, with what its folder holds',
  async () => {
    lab = await FederationLab.start({
      nodes,
      absent: nodes,
      task: { uploadMs: 120_000 },
      coordinator: { readyMs: 60_000 },
    });
    const old = new Map<string, Child>();
    for (const name of OLD) {
      await lab.stop(name);
      old.set(name, await lab.spawn(name, '', sources));
    }
    const id = await lab.open();
    await lab.until(id, (r) => r.uploads.size === 2);
    const uploads = new Map([...lab.round(id).uploads].map(([name, { hash }]) => [name, hash]));
    for (const [name, child] of old) {
      await stop(child);
      await lab.run(name);
    }
    await lab.run('slow');
    expect(await lab.end(id)).toBe('released');
    for (const [name, hash] of uploads) expect(lab.round(id).uploads.get(name)!.hash).toBe(hash); // the same upload, not a second one
    expect(await lab.result(id)).toEqual(plainSum(nodes, 1, 300));
  },
  300_000,
);
