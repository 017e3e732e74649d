import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { bytesEqual, fromBase64, fromHex, toBase64, toHex, utf8 } from '../../crypto/encoding.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import { pairwiseMask } from '../../crypto/masks.ts';
import type { PayloadContext } from '../../crypto/payload.ts';
import { addResidues, applyExpanded, reduceResidues, subtractResidues, unpackResidues } from '../../crypto/residues.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { openSeeds } from '../../crypto/share-box.ts';
import { heldBy, seedCommitment, subsets } from '../../crypto/sharing.ts';
import { recordHashOf } from '../../protocols/record.ts';
import type { Round } from '../../protocols/transcript.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { plainSum, updateOf } from '../e2e/lab-parties.ts';
import { kernelOf } from '../reference/engines.ts';
import { lift, openWith } from '../reference/quorum-lab.ts';

/**
 * After a round of a whole federation somebody seizes every machine at once, switched on, and has recorded all traffic.
 * Taken are: every SecretBytes of any party that is not wiped; every 32 bytes in a row of small files; and of files of any size
 * every secret that was ever made, wherever it stands.
 */

const seized = vi.hoisted(() => ({
  made: [] as { secret: SecretBytes; copy: Uint8Array }[],
  traffic: [] as Uint8Array[],
}));
vi.mock('../../crypto/secret.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/secret.ts')>();
  class SecretBytes extends original.SecretBytes {
    constructor(name: string, bytes: Uint8Array) {
      super(name, bytes);
      seized.made.push({ secret: this, copy: bytes.slice() });
    }
  }
  return { ...original, SecretBytes };
});
vi.mock('../../crypto/payload.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/payload.ts')>();
  const createEncryptor: typeof original.createEncryptor = (...args) => {
    const made = original.createEncryptor(...args);
    const block = (j: number): Uint8Array => {
      const wire = made.block(j);
      seized.traffic.push(wire.slice());
      return wire;
    };
    return Object.assign(Object.create(made), { key: made.key, updateHash: made.updateHash, block });
  };
  return { ...original, createEncryptor };
});
vi.mock('../../protocols/node.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/node.ts')>();
  const makeConfirmation: typeof original.makeConfirmation = (...args) => {
    const made = original.makeConfirmation(...args);
    if ('body' in made) seized.traffic.push(made.correction, ...made.boxes.map(({ sealed }) => sealed));
    return made;
  };
  return { ...original, makeConfirmation };
});

const nodes = ['eu', 'us', 'apac'];
let lab: FederationLab;
let round: Extract<Round, { phase: 'released' }>;
let context: PayloadContext;
let blobs: Map<string, Uint8Array>;
/** What everybody has after the round: bytes that may be keys. */
let loot: Uint8Array[];
/** What everybody had in the round. */
let copies: Uint8Array[];

beforeAll(async () => {
  lab = await FederationLab.start({ nodes });
  const id = await lab.open();
  expect(await lab.end(id)).toBe('released');
  expect(await lab.result(id)).toEqual(plainSum(nodes, 1, 300));
  round = lab.round(id) as typeof round;
  await vi.waitFor(() => expect(secretsOfRound()).toEqual([]), 10_000);
  context = {
    parameters: round.record.parameters,
    recordHash: recordHashOf(p, round.record),
    engine: await kernelOf(round.record.parameters),
    primitives: p,
  };
  blobs = new Map(seized.traffic.map((bytes) => [toHex(p.sha256(bytes)), bytes]));
  copies = distinct(seized.made.filter(({ copy }) => copy.length === 32).map(({ copy }) => copy));
  const inMemory = seized.made.filter(({ secret }) => !secret.wiped && secret.length === 32);
  loot = distinct([...inMemory.map(({ secret }) => secret.bytes.slice()), ...onDisk()]);
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

const OF_ROUNDS = ['round key', 'share seed', 'mask key', 'upload seed', 'pairwise seed', 'update hash'];

/** Names of a round's secrets that somebody has not wiped, and folders of rounds that are still on a disk. */
function secretsOfRound(): string[] {
  const inMemory = seized.made.filter(({ secret }) => !secret.wiped && OF_ROUNDS.includes(secret.name));
  const onDisks = lab.local.cards.flatMap(({ name }) =>
    readdirSync(join(lab.path(name), 'rounds'), { withFileTypes: true }).filter((entry) => entry.isDirectory()),
  );
  return [...inMemory.map(({ secret }) => secret.name), ...onDisks.map(({ name }) => name)];
}

function distinct(all: readonly Uint8Array[]): Uint8Array[] {
  return [...new Map(all.map((bytes) => [toHex(bytes), bytes])).values()];
}

/** Small files at every offset, whatever they are called; of larger ones what is known to be a secret. */
function onDisk(): Uint8Array[] {
  const found: Uint8Array[] = [];
  const made = distinct(seized.made.map(({ copy }) => copy).filter((copy) => copy.length === 32));
  for (const bytes of lab.files().values()) {
    if (bytes.length > 200) found.push(...made.filter((secret) => bytes.includes(secret)));
    else for (let at = 0; at + 32 <= bytes.length; at++) found.push(Uint8Array.from(bytes.subarray(at, at + 32)));
  }
  return found;
}

/** Keys of the round among some bytes: round keys by holder, mask keys by node, share seeds by commitment. */
interface Keys {
  readonly round: ReadonlyMap<string, SecretBytes>;
  readonly mask: ReadonlyMap<string, SecretBytes>;
  readonly seeds: ReadonlyMap<string, SecretBytes>;
}

function keysAmong(candidates: readonly Uint8Array[]): Keys {
  const { attempt } = round.decision;
  const { roundKeys } = lab.log.transcript.announces.get(round.record.announce)!;
  const sets = [...setsOf(), []];
  const keys = { round: new Map<string, SecretBytes>(), mask: new Map(), seeds: new Map() };
  for (const bytes of candidates) {
    const secret = new SecretBytes('candidate', bytes.slice());
    const publicKey = toBase64(xwingKeyPair(p, secret).publicKey);
    for (const [holder, { kemKey }] of roundKeys) if (kemKey === publicKey) keys.round.set(holder, secret);
    const maskKey = toBase64(p.x25519PublicKey(bytes));
    for (const { node, body } of attempt.cohort) if (body.key === maskKey) keys.mask.set(node, secret);
    for (const { node, body } of attempt.confirms.values()) {
      const place = { closeHash: fromHex(attempt.close, 32), bucket: 0, node: utf8(node) };
      for (const [t, set] of sets.entries())
        if (bytesEqual(seedCommitment(p, place, set, secret), fromBase64(body.seeds[t]!, 32)))
          keys.seeds.set(body.seeds[t]!, secret);
    }
  }
  return keys;
}

function setsOf(): readonly (readonly number[])[] {
  return subsets(round.record.parameters.members, round.record.parameters.threshold);
}

/** k_i + mask_i of a node from its recorded confirmation, if every seed can be had from boxes or directly; else null. */
function maskedKey(node: string, keys: Keys): Uint16Array | null {
  const { maskModulusBits, ringDegree } = round.record.parameters;
  const { body } = round.decision.attempt.confirms.get(node)!;
  const sets = setsOf();
  const seeds = new Map([...sets.keys(), sets.length].map((t) => [t, keys.seeds.get(body.seeds[t]!)]));
  const place = { closeHash: fromHex(round.decision.attempt.close, 32), bucket: 0, node: utf8(node) };
  for (const { holder, hash } of body.boxes) {
    const key = keys.round.get(holder);
    if (key === undefined) continue;
    const member = round.record.members.findIndex(({ name }) => name === holder);
    const held = member < 0 ? [sets.length] : heldBy(sets, member);
    const expected = held.map((t) => ({ set: sets[t] ?? [], commitment: fromBase64(body.seeds[t]!, 32) }));
    const to = member < 0 ? ({ role: 'recipient', index: 0 } as const) : ({ role: 'member', index: member } as const);
    const opened = openSeeds(p, key, place, to, expected, blobs.get(hash)!);
    if ('seeds' in opened) for (const [i, t] of held.entries()) seeds.set(t, opened.seeds[i]!);
  }
  const total = unpackResidues(blobs.get(body.correctionHash)!, maskModulusBits, ringDegree);
  for (const seed of seeds.values()) {
    if (seed === undefined) return null;
    applyExpanded(p, total, seed, 1);
  }
  return total;
}

/** A node's update from its recorded payload; null where it does not open. */
function recover(node: string, keys: Keys): Int32Array | null {
  const { maskModulusBits, ringDegree } = round.record.parameters;
  const { attempt } = round.decision;
  const key = maskedKey(node, keys);
  if (key === null) return null;
  const secret = keys.mask.get(node);
  if (secret !== undefined) {
    const cohort = attempt.cohort.map((upload) => {
      return { identity: utf8(upload.node), publicKey: fromBase64(upload.body.key, 32) };
    });
    const bound = { closeHash: fromHex(attempt.close, 32), bucket: 0, modelHash: fromHex(round.record.modelHash, 32) };
    subtractResidues(key, pairwiseMask(p, secret, utf8(node), bound, cohort, maskModulusBits, ringDegree));
  }
  const payload = blobs.get(round.uploads.get(node)!.body.payloadHash)!;
  return openWith(context, lift(reduceResidues(key, maskModulusBits), maskModulusBits), [payload]);
}

/** The key of the sum, which opens the sum alone; null where a seed is missing. */
function sumKey(keys: Keys): Int32Array | null {
  const { maskModulusBits, ringDegree } = round.record.parameters;
  const total = new Uint16Array(ringDegree);
  for (const node of nodes) {
    const part = maskedKey(node, keys);
    if (part === null) return null;
    addResidues(total, part);
  }
  return lift(reduceResidues(total, maskModulusBits), maskModulusBits);
}

describe('P9: after the end, the machines of all parties and all recorded traffic open nothing', () => {
  it('no byte string that any of them still has is a key of the round', () => {
    expect(loot.length).toBeGreaterThan(50); // identities, TLS and witness keys are there, and are tried
    const keys = keysAmong(loot);
    expect([keys.round.size, keys.mask.size, keys.seeds.size]).toEqual([0, 0, 0]);
    expect(sumKey(keys)).toBeNull();
    for (const node of nodes) expect(recover(node, keys)).toBeNull();
  });

  it('every secret made for the round is wiped', () => {
    const left = new Set(seized.made.filter(({ secret }) => !secret.wiped).map(({ secret }) => secret.name));
    left.delete('candidate');
    const names = new Set(seized.made.map(({ secret }) => secret.name));
    for (const name of OF_ROUNDS) {
      expect(names).toContain(name);
      expect([name, left.has(name)]).toEqual([name, false]);
    }
    console.log('test/attacks/p09-seized-disks: still held', [...left].join(', '));
  });

  it('control: with round keys kept the sum opens again, and with mask keys kept every single update', () => {
    const keys = keysAmong(copies);
    expect([keys.round.size, keys.mask.size, keys.seeds.size]).toEqual([4, 3, 12]);
    const sum = openWith(context, sumKey({ ...keys, seeds: new Map() })!, [sumOfPayloads()]);
    expect(sum).toEqual(plainSum(nodes, 1, 300));
    for (const node of nodes) {
      expect(recover(node, { ...keys, mask: new Map() })).toBeNull(); // masks still hold
      expect(recover(node, keys)).toEqual(updateOf(node, 1, 300));
    }
    // One member's key and the recipient's are too few.
    const few = new Map([...keys.round].filter(([holder]) => ['member-1', 'owner'].includes(holder)));
    expect(sumKey({ ...keys, round: few, seeds: new Map() })).toBeNull();
  });
});

function sumOfPayloads(): Uint8Array {
  using sum = context.engine.sum(context.parameters.lastBlockCoefficients);
  for (const node of nodes) sum.add(blobs.get(round.uploads.get(node)!.body.payloadHash)!);
  return sum.wire();
}
