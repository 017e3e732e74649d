import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { toBase64, toHex } from '../../crypto/encoding.ts';
import type { RingEngine } from '../../crypto/engine.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import type { Vanish } from '../../src/simulate/memory-world.ts';
import { memorySetting, smallEngine, updatesOf } from '../reference/memory-round.ts';

/**
 * Protocols with masks over the updates reveal seeds of nodes that vanish (Bonawitz et al., CCS 2017, round 4); here
 * nobody ever does, whoever vanishes when. Every secret that is made in a run is looked for in all that is sent or logged.
 */

const spied = vi.hoisted(() => ({ secrets: [] as { name: string; bytes: Uint8Array }[], reveals: '' }));
vi.mock('../../crypto/secret.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/secret.ts')>();
  class SecretBytes extends original.SecretBytes {
    constructor(name: string, bytes: Uint8Array) {
      super(name, bytes);
      spied.secrets.push({ name, bytes: bytes.slice() });
    }
  }
  return { ...original, SecretBytes };
});
/** The control's node: it puts its mask secret where its nonce should be, as a protocol with recovery would have it. */
vi.mock('../../protocols/node.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/node.ts')>();
  const uploadBody: typeof original.uploadBody = (p, rng, round, secrets, ...rest) => {
    const body = original.uploadBody(p, rng, round, secrets, ...rest);
    return spied.reveals === '' ? body : { ...body, nonce: toHex(secrets.maskSecret.bytes) };
  };
  return { ...original, uploadBody };
});

afterEach(() => {
  spied.secrets.length = 0;
  spied.reveals = '';
});

let engine: RingEngine;
beforeAll(async () => {
  engine = await smallEngine();
});

/** Everything that left a party: blobs, leaves, and what leaves say of them. */
function traffic(federation: MemoryFederation): Buffer {
  return Buffer.concat([...federation.blobs.values(), ...federation.log.leaves]);
}

/** Names of secrets that stand in the traffic as they are, in hexadecimal or in base64. */
function found(federation: MemoryFederation): string[] {
  const sent = traffic(federation);
  const hits = new Set<string>();
  for (const { name, bytes } of spied.secrets) {
    if (bytes.length < 16) continue;
    const spellings = [Buffer.from(bytes), Buffer.from(toHex(bytes)), Buffer.from(toBase64(bytes).slice(0, 40))];
    if (spellings.some((spelling) => sent.includes(spelling))) hits.add(name);
  }
  return [...hits];
}

/** A run of two rounds with parties that vanish. @returns how its rounds ended. */
function run(vanished: Record<string, Vanish>): { federation: MemoryFederation; ends: string[] } {
  const federation = new MemoryFederation(memorySetting(engine));
  const updates = updatesOf(federation.nodeNames);
  for (const [party, step] of Object.entries(vanished)) federation.vanished.set(party, step);
  const ends: string[] = [];
  for (const number of [1, 2]) {
    const round = federation.runRound(number, updates);
    ends.push(round.phase === 'aborted' ? round.reason : round.phase);
    if (round.phase !== 'released') break;
    federation.nextModel(round);
  }
  return { federation, ends };
}

describe('P12: no mask is ever revealed, by anyone, in any run', () => {
  it.each<[string, Record<string, Vanish>, string[]]>([
    ['nobody vanishes', {}, ['released', 'released']],
    ['a node before its upload', { 'node-1': 'upload' }, ['released', 'released']],
    ['a node between close and confirmation', { 'node-2': 'confirm' }, ['released', 'released']],
    ['two nodes, at each of both points', { 'node-1': 'upload', 'node-3': 'confirm' }, ['released', 'released']],
    ['a member before it is ready', { 'member-1': 'ready' }, ['released', 'released']],
    ['a member before it answers', { 'member-2': 'answer' }, ['released', 'released']],
    ['a node and a member', { 'node-4': 'confirm', 'member-3': 'answer' }, ['released', 'released']],
    ['too many nodes', { 'node-1': 'confirm', 'node-2': 'confirm', 'node-3': 'confirm' }, ['COHORT_TOO_SMALL']],
  ])('%s: the run ends in a smaller set or an abort, and no secret is in what was sent', (_, vanished, ends) => {
    const outcome = run(vanished);
    expect(outcome.ends).toEqual(ends);
    const names = new Set(spied.secrets.map(({ name }) => name));
    for (const name of ['mask key', 'X25519 shared secret', 'pairwise seed', 'share seed', 'round key', 'upload seed'])
      expect(names).toContain(name);
    expect(found(outcome.federation)).toEqual([]);
  });

  it('control: a node that reveals its mask key is found', () => {
    spied.reveals = 'mask keys';
    expect(found(run({}).federation)).toEqual(['mask key']);
  });
});
