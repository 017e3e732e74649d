import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import type { Round, Upload } from '../../protocols/transcript.ts';
import { foldUploads, sumPayloads } from '../../src/party/payload-sums.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { Store } from '../../src/store/port.ts';
import { memorySetting, REQUEST, smallEngine } from '../reference/memory-round.ts';

const request = { ...REQUEST, nodesMax: 32 };
const folder = mkdtempSync(join(tmpdir(), 'veilsum-sums-'));
let kernel: RingEngine;
let federation: MemoryFederation;
let round: Extract<Round, { phase: 'released' }>;
let store: Store;

beforeAll(async () => {
  kernel = await smallEngine(request);
  federation = new MemoryFederation(memorySetting(kernel, { nodes: 20, request }));
  const updates = new Map(federation.nodeNames.map((name, i) => [name, new Int32Array(300).fill(i + 1)]));
  const ended = federation.runRound(1, updates);
  if (ended.phase !== 'released') throw new Error(`the round is ${ended.phase}`);
  round = ended;
  store = await openStore(folder);
  for (const upload of round.uploads.values()) await store.blobs.put([federation.blobs.get(upload.body.payloadHash)!]);
});

afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

const hashesOf = (cohort: readonly Upload[]): string[] => cohort.map((upload) => upload.body.payloadHash);

/** The round as it was when the first uploads had arrived. */
function early(uploads: number): Round {
  return { ...round, uploads: new Map([...round.uploads].slice(0, uploads)) } as Round;
}

describe('running sums of uploads', () => {
  it('wait for eight uploads, then hold all that are there, and the close adds the rest', async () => {
    expect(await foldUploads(store, early(7), 'one')).toBe(false);
    expect(await store.sums.find(round.id)).toBeUndefined();
    expect(await foldUploads(store, early(9), 'one')).toBe(true);
    expect(await foldUploads(store, early(18), 'one')).toBe(true);
    expect((await store.sums.find(round.id))?.version).toBe(2);
    const { hash } = await sumPayloads(store, round, hashesOf(round.decision.attempt.cohort));
    expect(hash).toBe(round.decision.body.sumHash); // equal to what was added up at once, byte for byte
    expect(readdirSync(join(folder, 'sums'))).toEqual([]);
  });

  it('are folded by one replica at a time', async () => {
    await store.sums.claim(round.id, 'one', Date.now(), Date.now() + 60_000);
    expect(await foldUploads(store, early(12), 'two')).toBe(false);
    expect(await foldUploads(store, early(12), 'one')).toBe(true);
  });

  it('are left aside by a close over fewer nodes than they hold', async () => {
    const cohort = round.decision.attempt.cohort.slice(5);
    const { hash } = await sumPayloads(store, round, hashesOf(cohort));
    const again = await openStore(mkdtempSync(join(folder, 'fresh-')));
    for (const upload of cohort) await again.blobs.put([federation.blobs.get(upload.body.payloadHash)!]);
    expect((await sumPayloads(again, round, hashesOf(cohort))).hash).toBe(hash);
    await again[Symbol.asyncDispose]();
  });
});
