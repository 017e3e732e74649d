import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import * as checkpoints from '../../crypto/checkpoint.ts';
import { fromUtf8, toBase64, utf8 } from '../../crypto/encoding.ts';
import { Frontier, leafHash, verifyConsistency } from '../../crypto/merkle.ts';
import { parseNote } from '../../crypto/note.ts';
import { parseWitnessRequest } from '../../crypto/witness-request.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { logReaderOf } from '../../src/cli/caller.ts';
import type { Federation } from '../../src/config/federation.ts';
import type { Connection } from '../../src/grpc/connection.ts';
import { keepContradiction, keepOtherLeaves } from '../../src/party/evidence.ts';
import { LogReader } from '../../src/party/log-reader.ts';
import type { RecordStore } from '../../src/store/port.ts';
import { ORIGIN, PaperLog, p } from '../reference/paper-log.ts';

// What a party keeps as evidence must hold before somebody who trusts neither it nor the log.

vi.mock('../../crypto/checkpoint.ts', async (original) => ({ ...(await original<typeof checkpoints>()) }));

const folder = mkdtempSync(join(tmpdir(), 'veilsum-evidence-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Shown {
  readonly leaves: readonly Uint8Array[];
  readonly checkpoint: Uint8Array;
}

/** What a party says and keeps of a log that shows it this. @param kept - the head from before its restart. */
async function follow(log: PaperLog, runs: readonly Shown[], kept?: Uint8Array) {
  const path = mkdtempSync(join(folder, 'party-'));
  const said: string[] = [];
  let shown = 0;
  async function* stream() {
    let firstIndex = 0n;
    for (const { leaves, checkpoint } of runs) {
      yield { firstIndex, leaves, checkpoint };
      shown++; // asked for more: this one is taken in
      firstIndex += BigInt(leaves.length);
    }
    await new Promise(() => {});
  }
  const records = { get: async () => kept, transact: async () => {} } as unknown as RecordStore;
  const reader = new LogReader({
    primitives: p,
    policy: policyOf(p, log.genesis()),
    genesisHash: log.transcript.logId,
    coordinator: { stream } as unknown as Connection,
    records: kept === undefined ? null : records,
    say: (event) => void said.push(event),
    onContradiction: async (heads) => void (await keepContradiction(path, heads)),
    onOtherLeaves: (head, root) => void keepOtherLeaves(path, head, root),
  });
  reader.start();
  await expect.poll(() => reader.failure !== null || shown === runs.length).toBe(true);
  const code = (reader.failure as { code?: string } | null)?.code ?? null;
  const names = readdirSync(path).includes('evidence') ? readdirSync(join(path, 'evidence')) : [];
  return { code, said, evidence: names.map((name) => join(path, 'evidence', name)), reader };
}

/** Judges a folder of evidence as a stranger does, by the policy and nothing else. */
function provesTwoHistories(log: PaperLog, path: string): boolean {
  const policy = policyOf(p, log.genesis());
  const read = (name: string): Uint8Array => readFileSync(join(path, name));
  const [held, offered] = ['held', 'offered'].map((name) => checkpoints.openCheckpoint(p, read(name), policy));
  if (!held!.quorum || !offered!.quorum) return false;
  const [from, to] = [held!.checkpoint, offered!.checkpoint];
  const { oldSize, proof } = parseWitnessRequest(read('proof'));
  const claim = { from: from.size, to: to.size, fromRoot: from.root, toRoot: to.root };
  // The proof is good, but of another history at the held one's size.
  const histories = [leaves, after].map((each) => rootOf(each.slice(0, from.size)));
  const isProof = histories.some((fromRoot) => verifyConsistency(p, { ...claim, fromRoot }, proof));
  return oldSize === from.size && from.size > 0 && isProof && !verifyConsistency(p, claim, proof);
}

function rootOf(leaves: readonly Uint8Array[]): Uint8Array {
  const frontier = new Frontier(p);
  for (const leaf of leaves) frontier.append(leafHash(p, leaf));
  return frontier.root();
}

const log = PaperLog.founded().until('open');
const { leaves } = log;
const whole: Shown = { leaves, checkpoint: log.head() };
const early = leaves.slice(0, 5);
/** Other leaves from the sixth on, under a head that every witness signs. */
const fork = [...early, ...leaves.slice(6)];
const after = [...fork, ...fork.slice(-2)]; // a leaf more than the log has

describe('a text that nobody signed', () => {
  const root = 'A'.repeat(43);
  it.each([1, leaves.length])('over %i leaves is no head, and evidence against nobody', async (size) => {
    const checkpoint = utf8(`${ORIGIN}\n${size}\n${root}=\n\n— nobody AAAAAAAA\n`);
    const { code, evidence } = await follow(log, [whole, { leaves: [], checkpoint }]);
    expect([code, evidence]).toEqual(['BAD_CHECKPOINT', []]);
  });

  it('nor is one that too few have cosigned', async () => {
    const { text, signatures } = parseNote(log.head(fork));
    const lines = signatures.slice(0, 1).map(({ name, keyId, signature }) => {
      return `— ${name} ${toBase64(Uint8Array.from([...keyId, ...signature]))}\n`;
    });
    const checkpoint = utf8(`${text}\n${lines.join('')}`);
    const { code, evidence } = await follow(log, [whole, { leaves: [], checkpoint }]);
    expect([code, evidence]).toEqual(['NOT_COSIGNED', []]);
  });

  it('control: to a reader that verifies no older head it is one half of “two signed heads”', async () => {
    const checkpoint = utf8(`${ORIGIN}\n1\n${root}=\n\n— nobody AAAAAAAA\n`);
    const opened = vi.spyOn(checkpoints, 'openCheckpoint');
    const genuine = await vi.importActual<typeof checkpoints>('../../crypto/checkpoint.ts');
    opened.mockImplementation((primitives, note, policy) =>
      fromUtf8(note).includes('nobody')
        ? { checkpoint: genuine.parseCheckpoint(parseNote(note).text), text: '', cosignatures: [], quorum: true }
        : genuine.openCheckpoint(primitives, note, policy),
    );
    const { code, evidence } = await follow(log, [whole, { leaves: [], checkpoint }]);
    opened.mockRestore();
    expect([code, evidence.length]).toEqual(['SPLIT_VIEW', 1]);
    expect(() => provesTwoHistories(log, evidence[0]!)).toThrow();
  });
});

describe('true heads', () => {
  it('an older one of the same log says that it is behind, and no more', async () => {
    const { code, said, evidence, reader } = await follow(log, [whole, { leaves: [], checkpoint: log.head(early) }]);
    expect([code, said, evidence]).toEqual([null, ['log is behind'], []]);
    expect(reader.head?.size).toBe(leaves.length);
  });

  it('over other leaves than were sent: the head and the leaves’ root are kept, and nothing is contradicted', async () => {
    const altered = leaves.slice(5).map((leaf, i) => (i === 0 ? utf8('{}') : leaf));
    const runs = [
      { leaves: early, checkpoint: log.head(early) },
      { leaves: altered, checkpoint: log.head() },
    ];
    const { code, evidence } = await follow(log, runs);
    expect([code, evidence.length]).toEqual(['BAD_CHECKPOINT', 1]);
    const kept = readFileSync(evidence[0]!, 'utf8');
    expect(kept).toContain(fromUtf8(log.head()));
    expect(kept).toContain(toBase64(rootOf([...early, ...altered])));
    expect(kept).not.toMatch(/contradict|two/i);
  });
});

describe('two heads that every witness signed and that cannot both be true', () => {
  const same = after.slice(0, leaves.length);
  const cases: Record<string, [readonly Shown[], Uint8Array?]> = {
    'as large as what was read': [[whole, { leaves: [], checkpoint: log.head(same) }]],
    'smaller than what was read': [[whole, { leaves: [], checkpoint: log.head(fork) }]],
    'as large as the head before the restart': [[{ leaves: same, checkpoint: log.head(same) }], log.head()],
    'larger than the head before the restart': [[{ leaves: after, checkpoint: log.head(after) }], log.head()],
  };

  it.each(Object.keys(cases))('%s: kept so that a stranger can judge them', async (which) => {
    const [runs, kept] = cases[which]!;
    const { code, evidence } = await follow(log, runs, kept);
    expect([code, evidence.length]).toEqual(['SPLIT_VIEW', 1]);
    expect(provesTwoHistories(log, evidence[0]!)).toBe(true);
  });
});

it('a command prints both heads, and the folder that they are kept in', async () => {
  const path = mkdtempSync(join(folder, 'caller-'));
  async function* stream() {
    yield { firstIndex: 0n, ...whole };
    yield { firstIndex: BigInt(leaves.length), leaves: [], checkpoint: log.head(after.slice(0, leaves.length)) };
    await new Promise(() => {});
  }
  const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  const reader = logReaderOf({
    folder: path,
    policy: policyOf(p, log.genesis()),
    federation: { genesisHash: log.transcript.logId } as Federation,
    coordinator: { stream } as unknown as Connection,
  });
  reader.start();
  const failed = () => (reader.failure as { code?: string } | null)?.code;
  await expect.poll(failed, { timeout: 20_000 }).toBe('SPLIT_VIEW');
  const text = written.mock.calls.map(([chunk]) => String(chunk)).join('');
  written.mockRestore();
  const [kept] = readdirSync(join(path, 'evidence'));
  expect(text).toContain(join(path, 'evidence', kept!));
  for (const head of [log.head(), log.head(after.slice(0, leaves.length))]) expect(text).toContain(fromUtf8(head));
});
