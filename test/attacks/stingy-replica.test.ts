import { createHash } from 'node:crypto';
import { expect, it } from 'vitest';
import { MAX_SETS } from '../../crypto/params.ts';
import { boxBytes } from '../../crypto/share-box.ts';
import type { Attempt, Confirm } from '../../protocols/transcript.ts';
import type { Connection } from '../../src/grpc/connection.ts';
import { fetchBoxes } from '../../src/party/fetch.ts';

// An aggregator that answers every question for boxes with one box: each question may cost its time.

const HOLDER = 'member-1';
const bytesOf = (node: string): Uint8Array => new TextEncoder().encode(`box of ${node}`);

const nodes = Array.from({ length: 200 }, (_, i) => `node-${i}`);
const confirms = nodes.map((node) => {
  const hash = createHash('sha256').update(bytesOf(node)).digest('hex');
  return { node, hash: node, body: { boxes: [{ holder: HOLDER, hash }] } } as unknown as Confirm;
});
const attempt = { close: 'ab'.repeat(32), complaints: new Map() } as unknown as Attempt;

/** Counts how many questions follow one another; those that are asked at once are one. */
function replica(most: number): { readonly connection: Connection; readonly turns: () => number } {
  let turns = 0;
  let isOpen = false;
  const callOnce = async (_method: unknown, { nodes: asked }: { nodes: readonly string[] }) => {
    if (!isOpen) {
      isOpen = true;
      turns++;
    }
    await new Promise((resolve) => setImmediate(resolve));
    isOpen = false;
    return { boxes: asked.slice(0, most).map((node) => ({ node, sealed: bytesOf(node) })) };
  };
  return { connection: { callOnce } as unknown as Connection, turns: () => turns };
}

it('is asked for all of them once, and then for the others at once', async () => {
  const stingy = replica(1);
  const boxes = await fetchBoxes([stingy.connection], attempt, confirms, HOLDER);
  expect([...boxes.keys()].sort()).toEqual(nodes.toSorted());
  expect([...boxes.values()]).not.toContain(null);
  expect(stingy.turns()).toBe(2);
});

it('control: whoever asks for one box after the other waits for as many answers as there are nodes', async () => {
  const stingy = replica(1);
  for (const confirm of confirms) await fetchBoxes([stingy.connection], attempt, [confirm], HOLDER);
  expect(stingy.turns()).toBe(nodes.length);
});

it('one that gives full answers is asked until it has given all of them', async () => {
  const full = replica(70);
  const boxes = await fetchBoxes([full.connection], attempt, confirms, HOLDER);
  expect([boxes.size, full.turns()]).toEqual([200, 3]);
  // A full answer is never smaller than what the fetcher takes for one.
  expect((1 << 20) / boxBytes(MAX_SETS)).toBeGreaterThan(64);
});
