import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { toHex } from '../../crypto/encoding.ts';
import { packResidues, unpackResidues } from '../../crypto/packing.ts';
import { blockCoefficients } from '../../crypto/payload.ts';
import { checkBoxSizes } from '../../protocols/aggregator.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import { AggregationService, LogService } from '../../src/grpc/services.ts';
import { certify, enrolLeaf, readAuthority, revokeLeaf } from '../../src/keys/found.ts';
import { createPartyFolder, installCertificate, joinFederation } from '../../src/keys/party-folder.ts';
import * as sink from '../../src/party/chunk-sink.ts';
import { FirstConfirms } from '../../src/party/first-confirms.ts';
import { runNode } from '../../src/party/node.ts';
import { primitives as p, rng } from '../../src/party/party.ts';
import { createAuthority } from '../../src/tls/authority.ts';
import { loadTlsIdentity } from '../../src/tls/files.ts';
import { createFileSource } from '../../src/training/file-source.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { HandNode, type Prepared } from '../e2e/hand-node.ts';
import { plainSum } from '../e2e/lab-parties.ts';
import { codeOf, party as issueParty } from '../protocol/parties.ts';

/** Checks that a control takes away. */
const weak = vi.hoisted(() => ({ residues: false, signatures: false, boxes: false }));

vi.mock('../../src/party/payload-sums.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/party/payload-sums.ts')>();
  const checkPayload: typeof original.checkPayload = async (...args) => {
    if (!weak.residues) await original.checkPayload(...args);
  };
  return { ...original, checkPayload };
});
vi.mock('../../src/party/chunk-sink.ts', async (original) => ({ ...(await original<typeof sink>()) }));
vi.mock('../../crypto/signature.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/signature.ts')>();
  return {
    ...original,
    verify: (...args: Parameters<typeof original.verify>) => weak.signatures || original.verify(...args),
  };
});

vi.mock('../../protocols/aggregator.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/aggregator.ts')>();
  const roundOfComplaint: typeof original.roundOfComplaint = (t, ...rest) =>
    weak.boxes ? [...t.rounds.values()].at(-1) : original.roundOfComplaint(t, ...rest);
  const checkBoxSizes: typeof original.checkBoxSizes = (...args) =>
    weak.boxes ? null : original.checkBoxSizes(...args);
  return { ...original, roundOfComplaint, checkBoxSizes };
});
vi.mock('../../protocols/rules.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/rules.ts')>();
  // An aggregator's look at the leaf alone: the coordinator's log is asked as ever.
  const judge: typeof original.judge = (primitives, t, signed) =>
    weak.boxes && t !== lab.coordinator.keeper.transcript ? {} : original.judge(primitives, t, signed);
  return { ...original, judge };
});

const dimension = 300;
const nodes = ['eu', 'us', 'hand', 'late'];
let lab: FederationLab;
let hand: HandNode;
let round: string;
let good: Prepared;

/** Everything that bad input must leave as it was. */
async function state(): Promise<unknown> {
  const { keeper } = lab.coordinator;
  const { transcript: t } = keeper;
  const rounds = [...t.rounds.values()].map((r) => [
    r.id,
    r.phase,
    [...r.uploads.values()].map((u) => u.hash),
    r.attempts.length,
  ]);
  const { checkpoint } = await keeper.log.checkpoint();
  return { size: keeper.log.size, root: toHex(checkpoint.root), rounds, keys: t.keys.size, nonces: t.nonces.size };
}

/** The code of a refusal, after checking that nothing changed. */
async function refused(attempt: () => Promise<unknown>): Promise<string> {
  const before = await state();
  const code = await codeOf(attempt());
  expect(await state()).toEqual(before);
  return code;
}

const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.with(at, bytes[at]! ^ 1) as Uint8Array;

/** The payload with one residue at or above its prime. */
function withBadResidue({ payload, round: { record } }: Prepared, at = 7): Uint8Array {
  const { parameters } = record;
  const bits = parameters.primeBits[0]!;
  const end = (blockCoefficients(parameters, 0) / 8) * bits;
  const residues = unpackResidues(payload.slice(0, end), bits);
  residues[at] = parameters.primes[0]!;
  const changed = payload.slice();
  changed.set(packResidues(residues, bits));
  return changed;
}

/** Offers bytes under a leaf that names exactly them. */
function offer(prepared: Prepared, payload: Uint8Array): Promise<number> {
  const body = hand.bodyOf(prepared.round, prepared.secrets, payload);
  return hand.send(prepared.round.id, hand.leaf('upload', body), [payload]);
}

beforeAll(async () => {
  lab = await FederationLab.start({ nodes, absent: ['hand', 'late'], task: { unit: 'record' } });
  hand = await HandNode.open(lab, 'hand');
  round = await lab.open();
  await lab.until(round, (r) => r.uploads.size === 2);
  good = await hand.prepare(round);
}, 60_000);

afterAll(async () => {
  await hand[Symbol.asyncDispose]();
  await lab[Symbol.asyncDispose]();
}, 60_000);

describe('an upload', () => {
  it('of another size, block count or hash, with bytes after its end, or cut short', async () => {
    const { payload, body } = good;
    expect(await refused(() => offer(good, payload.subarray(1)))).toBe('PAYLOAD_SIZE');
    expect(await refused(() => offer(good, new Uint8Array(payload.length * 2)))).toBe('PAYLOAD_SIZE');
    const leaf = hand.leaf('upload', body);
    expect(await refused(() => hand.send(round, leaf, [payload, new Uint8Array(1)]))).toBe('TRAILING_BYTES');
    // What is durable stays: the next attempt begins where the cut one ended, and a refusal loses none of it.
    const body2 = hand.bodyOf(good.round, good.secrets, payload);
    const leaf2 = hand.leaf('upload', { ...body2, payloadHash: toHex(p.sha256(flipped(payload, 3))) });
    expect(await refused(() => hand.send(round, leaf2, [flipped(payload, 3).subarray(0, 999)]))).toBe(
      'TRUNCATED_STREAM',
    );
    expect(await refused(() => hand.send(round, leaf2, [flipped(payload, 2000).subarray(999)]))).toBe('WRONG_HASH');
  });

  it('with a residue at its prime', async () => {
    const [bad, worse] = [withBadResidue(good), withBadResidue(good, 8)];
    const kept = (of: Uint8Array) => existsSync(join(lab.folder, 'aggregators', 'blobs', toHex(p.sha256(of))));
    const drop = vi.spyOn(sink, 'dropUpload').mockResolvedValue();
    expect([await refused(() => offer(good, bad)), kept(bad)]).toEqual(['RESIDUE_OUT_OF_RANGE', true]); // control
    drop.mockRestore();
    // A node that brings one after the other fills no disk with them.
    expect([await refused(() => offer(good, worse)), kept(worse)]).toEqual(['RESIDUE_OUT_OF_RANGE', false]);
  });

  it('oversize, empty or without a header', async () => {
    const leaf = hand.leaf('upload', (await hand.prepare(round)).body); // nothing of it is durable yet
    expect(await refused(() => hand.send(round, leaf, [new Uint8Array((1 << 20) + 1)]))).toBe('CHUNK_SIZE');
    expect(await refused(() => hand.send(round, leaf, [new Uint8Array(3 << 20)]))).toBe('MESSAGE_TOO_LARGE');
    expect(await refused(() => hand.send(round, leaf, [new Uint8Array(0)]))).toBe('CHUNK_SIZE');
    expect(await refused(() => hand.send(round, new Uint8Array(70_000), []))).toBe('TOO_LARGE');
    const stream = hand.party.aggregators[0]!.duplex(AggregationService.upload);
    await stream.write({ part: { $case: 'chunk', value: new Uint8Array(8) } });
    expect(await refused(() => stream.read())).toBe('NO_HEADER');
  });

  it('into an unknown round, or under another round’s header', async () => {
    const other = '5'.repeat(64);
    const leaf = hand.leaf('upload', { ...good.body, round: other });
    expect(await refused(() => hand.send(other, leaf, [good.payload]))).toBe('UNKNOWN_ROUND');
    expect(await refused(() => hand.send(round, leaf, [good.payload]))).toBe('UNKNOWN_ROUND');
  });

  it('unsigned, signed by another, somebody else’s, or of another log', async () => {
    const leaf = hand.leaf('upload', good.body);
    const text = new TextDecoder().decode(leaf);
    const unsigned = new TextEncoder().encode(text.replace(/,"sig":"[^"]*"/, ''));
    expect(await refused(() => hand.send(round, unsigned, [good.payload]))).toBe('MALFORMED');
    const zeros = new TextEncoder().encode(text.replace(/"sig":"[^"]*"/, `"sig":"${'A'.repeat(86)}=="`));
    expect(await refused(() => hand.send(round, zeros, [good.payload]))).toBe('BAD_SIGNATURE');
    expect(await refused(() => hand.send(round, hand.forged('upload', good.body), [good.payload]))).toBe(
      'BAD_SIGNATURE',
    );
    const late = await HandNode.open(lab, 'late');
    expect(await refused(() => hand.send(round, late.leaf('upload', good.body), [good.payload]))).toBe('WRONG_ROLE');
    await late[Symbol.asyncDispose]();
    const elsewhere = new TextEncoder().encode(text.replace(lab.policy.genesis, '7'.repeat(64)));
    expect(await refused(() => hand.send(round, elsewhere, [good.payload]))).toBe('WRONG_ORIGIN');
    const padded = new Uint8Array([...leaf, 0x20]);
    expect(await refused(() => hand.send(round, padded, [good.payload]))).toBe('MALFORMED');
  });

  it('that copies another node’s payload, mask key or nonce', async () => {
    const [victim] = lab.round(round).uploads.values();
    const copy = { ...good.body, payloadHash: victim!.body.payloadHash };
    expect(await refused(() => hand.send(round, hand.leaf('upload', copy), []))).toBe('NONCE_REUSED');
    const nonce = hand.leaf('upload', { ...good.body, nonce: victim!.body.nonce });
    expect(await refused(() => hand.send(round, nonce, []))).toBe('NONCE_REUSED');
    const key = hand.leaf('upload', { ...good.body, key: victim!.body.key });
    expect(await refused(() => hand.send(round, key, []))).toBe('DUPLICATE_KEY');
  });

  it('that goes to the log directly, so that nobody holds its bytes', async () => {
    const leaf = hand.leaf('upload', good.body);
    expect(await refused(() => hand.party.coordinator.call(LogService.append, { leaf }))).toBe('WRONG_ROLE');
    const others = hand.leaf('ready', { close: '3'.repeat(64) });
    expect(await refused(() => hand.party.coordinator.call(LogService.append, { leaf: others }))).toBe('UNKNOWN_CLOSE');
  });
});

describe('a party that may not', () => {
  const stranger = async (name: string) => {
    const at = join(lab.folder, name);
    const place = { name, role: 'node' as const, organisation: name, region: 'eu', address: '127.0.0.1:1' };
    const request = await createPartyFolder(p, rng, at, place);
    const { federation } = lab.local;
    const authority = await readAuthority(join(lab.folder, 'founders'));
    installCertificate(at, await certify(authority, request, new Date()), federation.authority);
    return { card: joinFederation(p, at, federation), tls: await loadTlsIdentity(join(at, 'tls')) };
  };
  const status = { roundId: new Uint8Array(32), node: 'x' };

  it('a node that is not enrolled, with a certificate of this federation', async () => {
    const authority = await readAuthority(join(lab.folder, 'founders'));
    const tls = await issueParty(authority, 'unknown', 'node');
    const { body, payload } = good;
    const leaf = hand.leaf('upload', body);
    const text = new TextDecoder().decode(leaf).replace('"actor":"hand"', '"actor":"unknown"');
    const to = lab.connect(tls, 'aggregator-1');
    expect(await refused(() => hand.send(round, new TextEncoder().encode(text), [payload], to))).toBe('UNKNOWN_ACTOR');
    expect(await refused(() => hand.send(round, leaf, [payload], to))).toBe('WRONG_ROLE');
    to.close();
  });

  it('a certificate of another authority, whatever it says', async () => {
    const theirs = await createAuthority('theirs', new Date());
    const tls = { ...(await issueParty(theirs, 'hand', 'node')), authorities: lab.officerTls.authorities };
    const to = lab.connect(tls, 'aggregator-1');
    expect(await refused(() => to.callOnce(AggregationService.uploadStatus, status, 5000))).toBe('CERTIFICATE_REFUSED');
    to.close();
  });

  it('a role that has no business there', async () => {
    const to = lab.connect(await lab.tlsOf('owner'), 'aggregator-1');
    expect(await refused(() => to.callOnce(AggregationService.uploadStatus, status, 5000))).toBe('ROLE_REFUSED');
    to.close();
  });

  it('a node that was revoked: its leaves, its connections, and its place in the round', async () => {
    const { card, tls } = await stranger('gone');
    const founders = join(lab.folder, 'founders');
    const { federation } = lab.local;
    await lab.coordinator.keeper.append(enrolLeaf(p, founders, federation, card, 1));
    const to = lab.connect(tls, 'aggregator-1');
    const ask = () => codeOf(to.callOnce(AggregationService.uploadStatus, status, 5000));
    await lab.log.until((t) => t.parties.has('gone'));
    await vi.waitFor(async () => expect(await ask()).toBe('SUCCEEDED'), 5000);
    await lab.coordinator.keeper.append(revokeLeaf(p, founders, federation, 'gone', 'test', 2));
    await vi.waitFor(async () => expect(await ask()).toBe('CERTIFICATE_REVOKED'), 5000);
    to.close();
    const direct = lab.connect(tls, 'coordinator');
    expect(await refused(() => direct.callOnce(LogService.getCheckpoint, {}, 5000))).toBe('CERTIFICATE_REVOKED');
    direct.close();
    const leaf = new TextDecoder().decode(hand.leaf('upload', good.body)).replace('"actor":"hand"', '"actor":"gone"');
    expect(await refused(() => lab.coordinator.keeper.append(new TextEncoder().encode(leaf)))).toBe('REVOKED');
  });
});

describe('a second box', () => {
  it('that nobody asked for is not kept: a node fills no disk with what no leaf names', async () => {
    const sealed = new Uint8Array(100_000).fill(7);
    const hash = toHex(p.sha256(sealed));
    const kept = () => existsSync(join(lab.folder, 'aggregators', 'blobs', hash));
    const leaf = hand.leaf('reseal', { confirm: 'ab'.repeat(32), holder: 'member-1', hash });
    const send = () =>
      hand.party.aggregators[0]!.callOnce(
        AggregationService.reseal,
        { leaf, box: { holder: 'member-1', sealed } },
        10_000,
      );
    expect([await refused(send), kept()]).toEqual(['UNKNOWN_CONFIRM', false]);
    expect(checkBoxSizes(good.round.record, [{ holder: 'member-1', sealed }])).toMatchObject({
      rejected: 'BOXES_MISMATCH',
    });
    // Control: kept before anybody looks, it stays on the disk though the log refuses its leaf.
    weak.boxes = true;
    expect([await refused(send), kept()]).toEqual(['UNKNOWN_CONFIRM', true]);
    weak.boxes = false;
    rmSync(join(lab.folder, 'aggregators', 'blobs', hash));
  });
});

describe('an update', () => {
  const folder = mkdtempSync(join(tmpdir(), 'veilsum-bad-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** A NumPy file of one vector. */
  function npy(values: Float64Array): string {
    const head = `{'descr': '<f8', 'fortran_order': False, 'shape': (${values.length},), }`;
    const text = `${head.padEnd(117)}\n`;
    const path = join(folder, `${Math.abs(values[7]!)}-${values.length}.npy`);
    writeFileSync(
      path,
      Buffer.concat([
        Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'),
        Buffer.from(text),
        Buffer.from(values.buffer),
      ]),
    );
    return path;
  }

  it('that is not finite, or of another length, stops at the node that brings it', async () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      expect(await codeOf((async () => createFileSource(npy(new Float64Array(dimension).with(7, bad))))())).toBe(
        'NOT_FINITE',
      );
    }
    const task = { ...lab.tasks[0]!, unit: 'node' as const };
    const source = createFileSource(npy(new Float64Array(dimension + 1)));
    expect(await codeOf(source.update(task, good.round, new Uint8Array(1)))).toBe('WRONG_LENGTH');
  });

  it('of a node whose source gives another length or range: nothing is sent, and it says why', async () => {
    const before = await state();
    const bad = [new Int32Array(dimension + 1), new Int32Array(dimension).fill(2 ** 30)];
    const source = { update: async () => bad.shift() ?? null };
    const setting = { policy: lab.policy, tasks: lab.tasks, engine: 'auto' as const, source, checkSums: () => {} };
    const late = await runNode(lab.path('late'), async () => setting);
    await vi.waitFor(
      () => expect(lab.events.some((e) => e.party === 'late' && e.event === 'nothing to send')).toBe(true),
      10_000,
    );
    await late.stop();
    const codes = lab.events.filter((e) => e.party === 'late' && e.event === 'duty failed').map((e) => e.code);
    expect(codes.slice(0, 2)).toEqual(['BAD_LENGTH', 'OUT_OF_RANGE']);
    expect(await state()).toEqual(before);
  });
});

describe('after all of that', () => {
  it('the round goes on: an honest upload counts once, a duplicate never, and a late one not at all', async () => {
    const leaf = hand.leaf('upload', good.body);
    const index = await hand.upload(good, leaf);
    const again = await hand.prepare(round);
    await lab.until(round, (r) => r.uploads.has('hand'));
    expect(await refused(() => hand.upload(again))).toBe('DUPLICATE_UPLOAD');
    expect(await refused(async () => expect(await hand.upload(good, leaf)).toBe(index))).toBe('SUCCEEDED');
    await lab.run('late');
    const attempt = await lab.until(round, (r) => r.phase === 'confirming' && r.attempt);
    await lab.until(round, () => lab.round(round).phase === 'confirming' && attempt.cohort.length === 4);
    // What is compared before and after a refusal stands still once all others have confirmed.
    await lab.until(round, (r) => r.attempts[0]!.confirms.size === 3);
    // Late: a node of this federation that had not been there.
    expect(await refused(() => hand.upload(again))).toMatch(/^(DUPLICATE_UPLOAD|LATE_UPLOAD)$/);
    const made = await hand.confirmation(good, attempt);
    const lie = (over: Partial<typeof made.body>) =>
      refused(() => hand.confirm(made, { body: { ...made.body, ...over } }));
    expect(await lie({ modelHash: '9'.repeat(64) })).toBe('MODEL_MISMATCH');
    expect(await lie({ close: '9'.repeat(64) })).toBe('UNKNOWN_CLOSE');
    expect(await lie({ checksum: made.body.checksum.slice(1) })).toBe('MALFORMED');
    expect(await lie({ boxes: made.body.boxes.slice(1) })).toBe('BOXES_MISMATCH');
    expect(await lie({ seeds: made.body.seeds.slice(1) })).toBe('BOXES_MISMATCH');
    expect(await lie({ seeds: made.body.seeds.map(() => made.body.seeds[0]!) })).toBe('SEED_REUSED');
    expect(await lie({ correctionHash: '9'.repeat(64) })).toBe('PAYLOAD_HASH');
    const short = made.correction.subarray(1);
    const shortBody = { ...made.body, correctionHash: toHex(p.sha256(short)) };
    expect(await refused(() => hand.confirm(made, { body: shortBody, correction: short }))).toBe('MALFORMED');
    const swapped = [made.boxes[1]!, made.boxes[0]!, ...made.boxes.slice(2)];
    expect(await refused(() => hand.confirm(made, { boxes: swapped }))).toBe('BOXES_MISMATCH');
    expect(await refused(() => hand.confirm(made, { leaf: hand.forged('confirm', made.body) }))).toBe('BAD_SIGNATURE');
    // The log takes nothing for a while: of what a node brings meanwhile, its first confirmation is kept.
    const isKept = (of: typeof made) => existsSync(join(lab.folder, 'aggregators', 'blobs', of.body.correctionHash));
    const down = vi.spyOn(lab.coordinator.keeper, 'append').mockRejectedValue(new ProtocolError('ROUND_RUNNING', ''));
    const [second, third] = [await hand.confirmation(good, attempt), await hand.confirmation(good, attempt)];
    const leafOf = (of: typeof made) => hand.leaf('confirm', of.body);
    const kept = leafOf(made);
    expect([await codeOf(hand.confirm(made, { leaf: kept })), isKept(made)]).toEqual(['ROUND_RUNNING', true]);
    expect([await codeOf(hand.confirm(second)), isKept(second)]).toEqual(['DUPLICATE_CONFIRM', false]);
    const control = vi.spyOn(FirstConfirms.prototype, 'admit').mockReturnValue(true);
    expect([await codeOf(hand.confirm(third)), isKept(third)]).toEqual(['ROUND_RUNNING', true]); // control
    control.mockRestore();
    down.mockRestore();
    await hand.confirm(made, { leaf: kept });
    const other = await hand.confirmation(good, attempt);
    await lab.until(round, (r) => r.attempts[0]!.confirms.has('hand'));
    expect(await codeOf(hand.confirm(other))).toMatch(/^(DUPLICATE_CONFIRM|ALREADY_DECIDED|ROUND_ENDED)$/);
    expect(await lab.end(round)).toBe('released');
    expect(await lab.result(round)).toEqual(plainSum(nodes, 1, dimension));
  });

  it('nothing of it counts in the next round, and without a check it would have', async () => {
    const next = await lab.open();
    await lab.until(next, (r) => r.uploads.size === 3);
    const old = hand.leaf('upload', good.body);
    expect(await refused(() => hand.send(round, old, [good.payload]))).toBe('ROUND_ENDED');
    expect(await refused(() => hand.send(next, old, [good.payload]))).toBe('UNKNOWN_ROUND');
    // The same bytes, key or nonce under a new leaf for the next round.
    const { record } = lab.round(next);
    if (record.parameters.payloadBytes !== good.payload.length) throw new Error('the rounds differ in size');
    const replay = hand.leaf('upload', { ...good.body, round: next });
    expect(await refused(() => hand.send(next, replay, [good.payload]))).toBe('NONCE_REUSED');

    // Controls: each with one check taken away.
    const fresh = await hand.prepare(next);
    const broken = withBadResidue(fresh);
    const body = hand.bodyOf(fresh.round, fresh.secrets, broken);
    expect(await refused(() => hand.send(next, hand.forged('upload', body), [broken]))).toBe('BAD_SIGNATURE');
    weak.signatures = true;
    expect(await refused(() => hand.send(next, hand.forged('upload', body), [broken]))).toBe('RESIDUE_OUT_OF_RANGE');
    weak.residues = true;
    expect(await codeOf(hand.send(next, hand.forged('upload', body), [broken]))).toBe('SUCCEEDED');
    // With it in, no sum can be made: this is what the check at the door is for.
    await vi.waitFor(
      () => expect(lab.events.some((e) => e.party === 'coordinator' && e.code === 'RESIDUE_OUT_OF_RANGE')).toBe(true),
      10_000,
    );
    weak.signatures = weak.residues = false;
  });
});
