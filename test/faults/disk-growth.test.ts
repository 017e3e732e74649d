import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromHex } from '../../crypto/encoding.ts';
import { RoundService } from '../../src/grpc/services.ts';
import { openStore } from '../../src/store/open-store.ts';
import { FederationLab } from '../e2e/federation-lab.ts';

// Stores of running parties are opened a second time here: several processes may.

const nodes = ['one', 'two', 'three'];
let lab: FederationLab;
let first: string;

async function blobsOf(folder: string): Promise<string[]> {
  await using store = await openStore(folder);
  return (await store.blobs.list()).map(({ hash }) => hash).sort();
}

/** Hashes of a round's blobs, as its leaves name them. */
function namedBy(id: string) {
  const round = lab.round(id);
  if (round.phase !== 'released') throw new Error(round.phase);
  const { attempt, body, answers } = round.decision;
  const confirms = [...attempt.confirms.values()];
  const later = [
    attempt.sumHash,
    body.correctionSumHash,
    ...confirms.flatMap((confirm) => [confirm.body.correctionHash, ...confirm.body.boxes.map((box) => box.hash)]),
    ...[...answers.values()].flatMap((answer) => answer.body.sealed.map((box) => box.hash)),
  ];
  return { payloads: [...round.uploads.values()].map((upload) => upload.body.payloadHash), later };
}

/** Clearing follows the log by a moment. */
const SOON = { timeout: 15_000 };

const aggregators = (): string => join(lab.folder, 'aggregators');

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, absent: ['three'] });
  // What a crash leaves between a payload and the file that names it.
  await using store = await openStore(join(lab.path('three'), 'state'));
  await store.blobs.put([new Uint8Array(1000).fill(7)]);
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

describe('the disk does not grow with the rounds', () => {
  it('a node removes a payload that no upload names when it starts, and the round’s own when it ends', async () => {
    const state = join(lab.path('three'), 'state');
    expect(await blobsOf(state)).toHaveLength(1);
    await lab.run('three');
    await expect.poll(() => blobsOf(state), SOON).toEqual([]);
    first = await lab.open();
    expect(await lab.end(first)).toBe('released');
    await lab.log.until((t) => t.models.length === 2);
    const models = lab.log.transcript.models.map((model) => model.sealedHash);
    for (const name of nodes) {
      await expect
        .poll(async () => (await blobsOf(join(lab.path(name), 'state'))).filter((hash) => !models.includes(hash)), SOON)
        .toEqual([]);
    }
  });

  it('aggregators remove payloads when the round ends, everything when the next one does', async () => {
    const { payloads, later } = namedBy(first);
    expect(payloads).toHaveLength(3);
    await expect.poll(() => blobsOf(aggregators()), SOON).toEqual([...later].sort());
    const second = await lab.open();
    expect(await lab.end(second)).toBe('released');
    await expect.poll(() => blobsOf(aggregators()), SOON).toEqual(namedBy(second).later.sort());
    await using store = await openStore(aggregators());
    expect(await store.uploads.list()).toEqual([]);
    expect(await store.records.list('payload-sums')).toHaveLength(1);
    expect([...lab.files(join(aggregators(), 'partial')).keys()]).toEqual([]);
    expect([...lab.files(join(aggregators(), 'sums')).keys()]).toEqual([]);
  });

  it('also of a round that was aborted, and of what had only half arrived', async () => {
    await lab.stop('two');
    await lab.stop('three');
    const third = await lab.open();
    await lab.until(third, (round) => round.uploads.size === 1);
    {
      await using store = await openStore(aggregators());
      const id = `${third}/two/half`;
      await store.uploads.begin(id, { lengthBytes: 100, hash: 'ab'.repeat(32) });
      await store.uploads.append(id, 0, new Uint8Array(50));
      expect(lab.files(join(aggregators(), 'partial')).size).toBe(1);
    }
    await lab.officer.call(RoundService.abort, { roundId: fromHex(third, 32) });
    expect(await lab.end(third)).toBe('OPERATOR');
    await expect.poll(() => blobsOf(aggregators()), SOON).toEqual([]);
    expect(lab.files(join(aggregators(), 'partial')).size).toBe(0);
  });
});
