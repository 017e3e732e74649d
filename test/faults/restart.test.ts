import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { decodeParts } from '../../src/party/parts.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum } from '../e2e/lab-parties.ts';

// Parties are stopped and started again in the middle of a round; afterwards the disks are searched for its keys.

const nodes = ['one', 'two', 'slow'];
let lab: FederationLab;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, absent: ['slow'], coordinator: { readyMs: 15_000 } });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

const roundsOf = (name: string): string => join(lab.path(name), 'rounds');

/** Folders of rounds that a party still has secrets of. */
function secretsLeft(): string[] {
  return lab.local.cards.flatMap(({ name }) =>
    readdirSync(roundsOf(name), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => `${name}/${entry.name}`),
  );
}

/** Files that hold one of these byte strings. */
function filesWith(secrets: ReadonlyMap<string, Uint8Array>): string[] {
  const found: string[] = [];
  for (const [path, bytes] of lab.files()) {
    for (const [what, secret] of secrets) if (bytes.includes(secret)) found.push(`${what} in ${path}`);
  }
  return found;
}

it('goes on after every party was restarted, and P9 no disk holds a key of the round when it has ended', async () => {
  const id = await lab.open();
  await lab.until(id, (r) => r.uploads.size === 2);
  const { announce } = lab.round(id).record;
  const uploads = new Map([...lab.round(id).uploads].map(([name, upload]) => [name, upload.hash]));
  const secrets = new Map<string, Uint8Array>();
  for (const name of ['one', 'two']) {
    const [, , key, updateHash, maskSecret] = decodeParts(readFileSync(join(roundsOf(name), id, 'upload')));
    // A run of the key's own coefficients, long enough that it is nowhere by chance.
    secrets.set(`k of ${name}`, key!.subarray(1000, 1064));
    secrets.set(`H(m) of ${name}`, updateHash!);
    secrets.set(`mask key of ${name}`, maskSecret!);
  }
  for (const name of ['member-1', 'member-2', 'member-3', 'owner']) {
    secrets.set(`round key of ${name}`, readFileSync(join(roundsOf(name), announce, 'round.key')));
  }
  expect(filesWith(secrets)).toHaveLength(secrets.size); // control: the search finds each, once

  for (const name of ['one', 'member-1', 'owner', 'aggregator-1', 'coordinator', 'witness-1']) {
    await lab.stop(name);
    await lab.run(name);
  }
  // What a crash leaves: a half-written secret of a party, and the round of another one half wiped.
  writeFileSync(join(roundsOf('two'), id, 'upload.new'), secrets.get('k of two')!);
  await lab.run('slow');
  const confirming = await lab.until(id, (r) => r.phase !== 'uploading' && r.attempts[0]);
  for (const [name, hash] of uploads) {
    expect(confirming.cohort.find((upload) => upload.node === name)!.hash).toBe(hash); // the same upload, not a second one
  }
  expect(await lab.end(id)).toBe('released');
  expect(await lab.result(id)).toEqual(plainSum(nodes, 1, 300));
  expect(lab.round(id).attempts).toHaveLength(1);

  await vi.waitFor(() => expect(secretsLeft()).toEqual([]), 10_000);
  expect(filesWith(secrets)).toEqual([]);
}, 60_000);

it('finishes wiping what a crash left half wiped, or prepared and never sent', async () => {
  const [id] = lab.log.transcript.rounds.keys();
  mkdirSync(join(roundsOf('one'), id!));
  writeFileSync(join(roundsOf('one'), id!, 'upload'), '');
  mkdirSync(join(roundsOf('two'), id!));
  writeFileSync(join(roundsOf('two'), id!, 'upload.new'), 'a key that no upload was sent under');
  writeFileSync(join(roundsOf('two'), id!, 'upload'), new Uint8Array(1023)); // overwritten, not yet cut
  for (const name of ['one', 'two']) {
    await lab.stop(name);
    await lab.run(name);
  }
  await vi.waitFor(() => expect(secretsLeft()).toEqual([]), 10_000);
  expect(existsSync(join(roundsOf('one'), 'CACHEDIR.TAG'))).toBe(true);
});
