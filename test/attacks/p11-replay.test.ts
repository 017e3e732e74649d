import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { toHex } from '../../crypto/encoding.ts';
import type { Body } from '../../protocols/leaves.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { contextOf, kernelOf, parametersOf } from '../reference/engines.ts';
import { memorySetting, smallEngine, updatesOf } from '../reference/memory-round.ts';
import { PaperLog, p, paperHash } from '../reference/paper-log.ts';
import { openWith } from '../reference/quorum-lab.ts';
import { upload } from '../reference/uploads.ts';

/** A control takes the memory of nonces, payloads and keys away from the rule of uploads. */
const weak = vi.hoisted(() => ({ forgets: false }));
vi.mock('../../protocols/rules-round.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/rules-round.ts')>();
  const uploadRule: typeof original.uploadRule = (t, signed) =>
    original.uploadRule(weak.forgets ? { ...t, nonces: new Set(), keys: new Set() } : t, signed);
  return { ...original, uploadRule };
});

afterEach(() => {
  weak.forgets = false;
});

/** A log with a released round, and the next one open; what node-1 uploaded in the first. */
function nextRound(task?: string) {
  const log = PaperLog.founded().until('release');
  const old = log.round.uploads.get('node-1')!.body;
  const bytes = log.leaves[log.round.uploads.get('node-1')!.index]!;
  log.model(log.decision);
  if (task === undefined) log.open(log.announced(2));
  else {
    const announce = log.post('coordinator', 'announce', { task, number: 1, recipients: log.recipients });
    for (const name of [...log.members, ...log.recipients]) log.post(name, 'round-key', log.roundKey(name, announce));
    log.open(announce, { task, taskHash: paperHash(task) });
  }
  return { log, old, bytes };
}

const offer = (log: PaperLog, body: Body<'upload'>, node = 'node-1') => log.offer(log.leaf(node, 'upload', body));

describe('P11: replay is refused', () => {
  it('the same bytes in the same round, whoever brings them', () => {
    const log = PaperLog.founded().until('uploads');
    for (const bytes of log.leaves.slice(1)) expect(log.offer(bytes)).toBe('REPLAYED');
    const own = log.round.uploads.get('node-1')!.body;
    expect(offer(log, own)).toBe('DUPLICATE_UPLOAD');
    const other = PaperLog.founded({ nodes: 5 });
    other.open(other.announced(1));
    for (const node of other.nodes.slice(0, 4)) other.post(node, 'upload', other.upload(node));
    const copied = other.round.uploads.get('node-1')!.body;
    expect(offer(other, copied, 'node-5')).toBe('NONCE_REUSED');
    expect(offer(other, { ...other.upload('node-5'), payloadHash: copied.payloadHash }, 'node-5')).toBe('NONCE_REUSED');
    expect(offer(other, { ...other.upload('node-5'), key: copied.key }, 'node-5')).toBe('DUPLICATE_KEY');
    expect(offer(other, other.upload('node-5'), 'node-5')).toBe('counted'); // control
  });

  it.each([
    ['the next round', undefined],
    ['another task', 'another task'],
  ])('in %s: leaf, nonce, payload and key each', (_, task) => {
    const { log, old, bytes } = nextRound(task);
    expect(log.offer(bytes)).toBe('REPLAYED');
    expect(offer(log, old)).toBe('ROUND_ENDED');
    const fresh = log.upload('node-1');
    expect(offer(log, { ...old, round: fresh.round })).toBe('NONCE_REUSED');
    expect(offer(log, { ...fresh, nonce: old.nonce })).toBe('NONCE_REUSED');
    expect(offer(log, { ...fresh, payloadHash: old.payloadHash })).toBe('NONCE_REUSED');
    expect(offer(log, { ...fresh, nonce: old.payloadHash })).toBe('NONCE_REUSED');
    expect(offer(log, { ...fresh, key: old.key })).toBe('DUPLICATE_KEY');
    weak.forgets = true;
    expect(offer(log, { ...old, round: fresh.round })).toBe('counted'); // control
  });

  it('in another region’s log, or another federation’s', () => {
    const { log } = nextRound();
    const elsewhere = new PaperLog({}, (genesis) => {
      genesis.coordinator.region = 'elsewhere';
    });
    for (const bytes of log.leaves.slice(1)) expect(elsewhere.offer(bytes)).toBe('WRONG_ORIGIN');
    expect(elsewhere.offer(log.leaves[0]!)).toBe('GENESIS_NOT_FIRST');
  });

  it('nonces never expire: the first one is known after any number of later rounds', () => {
    const log = PaperLog.founded().until('release');
    const old = log.round.uploads.get('node-1')!.body;
    for (let number = 2; number < 6; number++) {
      log.model(log.decision);
      log.until('release', number);
    }
    log.model(log.decision);
    log.open(log.announced(6));
    expect(offer(log, { ...log.upload('node-1'), nonce: old.nonce })).toBe('NONCE_REUSED');
  });

  it('confirmations, seeds and answers of another round or attempt', () => {
    const { log } = nextRound();
    const [first] = log.transcript.rounds.values();
    for (const node of log.nodes) log.post(node, 'upload', log.upload(node));
    log.post('coordinator', 'close', log.close());
    const earlier = first!.attempts[0]!;
    const confirm = earlier.confirms.get('node-1')!.body;
    const say = (body: Body<'confirm'>) => log.offer(log.leaf('node-1', 'confirm', body));
    expect(say(confirm)).toBe('ROUND_ENDED');
    expect(say({ ...confirm, close: log.attempt.close })).toBe('MODEL_MISMATCH');
    expect(say({ ...log.confirm('node-1'), seeds: confirm.seeds })).toBe('SEED_REUSED');
    expect(say(log.confirm('node-1'))).toBe('counted'); // control
    expect(log.offer(log.leaf('member-1', 'ready', { close: earlier.close }))).toBe('ROUND_ENDED');
  });
});

describe('P11: a payload of another round opens nothing, even where it is let in', () => {
  it('its a_j are another record’s', async () => {
    const parameters = parametersOf({ dimension: 300 });
    const engine = await kernelOf(parameters);
    const [first, second] = ['round 1', 'round 2'].map((name) => contextOf(parameters, engine, name));
    const old = upload(first!, 'node');
    expect(openWith(second!, Int32Array.from(old.key), old.blocks)).toBeNull();
    expect(openWith(first!, Int32Array.from(old.key), old.blocks)).toEqual(old.values); // control
  });
});

describe('P11: over the wire of a whole federation', () => {
  let engine: Awaited<ReturnType<typeof smallEngine>>;
  beforeAll(async () => {
    engine = await smallEngine();
  });

  it('a node that brings last round’s payload is not counted, and without the rule the round opens nothing', () => {
    const federation = new MemoryFederation(memorySetting(engine));
    const updates = updatesOf(federation.nodeNames);
    const first = federation.runRound(1, updates);
    federation.nextModel(first);
    const replayed = federation.blobs.get(first.uploads.get('node-2')!.body.payloadHash)!;
    federation.tamper = (what, party, value) =>
      what === 'payload' && party === 'node-2' ? (replayed.slice() as typeof value) : value;
    const second = federation.runRound(2, updates);
    expect(second.uploads.has('node-2')).toBe(false);
    expect(federation.refusals.map(({ rejected }) => rejected)).toContain('NONCE_REUSED');
    federation.nextModel(second);
    weak.forgets = true;
    const third = federation.runRound(3, updates);
    expect(third).toMatchObject({ phase: 'aborted', reason: 'KEY_DOES_NOT_FIT' });
    expect(toHex(p.sha256(replayed))).toBe(third.uploads.get('node-2')!.body.payloadHash);
  });
});
