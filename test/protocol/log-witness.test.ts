import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openCheckpoint } from '../../crypto/checkpoint.ts';
import { fromUtf8, toHex, utf8 } from '../../crypto/encoding.ts';
import { formatNote, makeSigner, type Signer, signText } from '../../crypto/note.ts';
import { flatPolicy } from '../../crypto/policy.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { formatWitnessRequest, parseWitnessRequest } from '../../crypto/witness-request.ts';
import { type ListeningHttp, listenHttp } from '../../src/http/listen.ts';
import { createWitnessApp } from '../../src/http/witness-app.ts';
import { LogWitness } from '../../src/log/log-witness.ts';
import type { WitnessHeads } from '../../src/log/witness-heads.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { openStore } from '../../src/store/open-store.ts';
import type { RecordStore, Store } from '../../src/store/port.ts';
import { TileLog } from '../reference/tile-log.ts';

const signer = (type: 'ed25519' | 'cosignature', name: string, fill: number): Signer => {
  return makeSigner(p, type, name, new SecretBytes(name, new Uint8Array(32).fill(fill)));
};
const key = signer('cosignature', 'witness.example/w1', 50);
/** Logs of strangers: names that only C2SP asks for, not our own genesis. */
const keys = ['go.sum.example tree', 'a.example/1', 'b.example/2', 'c.example/3', 'd.example/4'].map((name, i) => {
  return signer('ed25519', name.replace(' ', '-'), 60 + i);
});
const [first, second, third, fourth, fifth] = keys as [Signer, Signer, Signer, Signer, Signer];
const logs = keys.map(({ verifier }) => verifier);
const scratch = mkdtempSync(join(tmpdir(), 'veilsum-witness-'));
let time = 1_800_000_000;
const evidence: string[] = [];
let store: Store;
let server: ListeningHttp;

const witnessOver = (records: RecordStore): LogWitness =>
  new LogWitness({
    primitives: p,
    records,
    signer: key,
    logs,
    now: () => time,
    onSplitView: (held, offered) => evidence.push(fromUtf8(held), fromUtf8(offered)),
  });

beforeAll(async () => {
  store = await openStore(join(scratch, 'state'));
  server = await listenHttp(createWitnessApp({ witness: witnessOver(store.records) }), '127.0.0.1', 0);
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

function post(body: Uint8Array | string, url = server.url): Promise<Response> {
  return fetch(`${url}/add-checkpoint`, { method: 'POST', body: Buffer.from(body) });
}
const requestOf = (log: TileLog, oldSize: number, size: number): Uint8Array => {
  return formatWitnessRequest({ oldSize, proof: log.consistency(oldSize, size), note: log.head(size, []) });
};
const policyOf = (log: TileLog) => {
  const logKeys = [{ verifier: log.signer.verifier, url: null }];
  return flatPolicy(p, logKeys, [{ name: 'w1', verifier: key.verifier, url: null }], 1);
};
const joined = (note: Uint8Array, lines: string): Uint8Array => utf8(fromUtf8(note) + lines);

describe('add-checkpoint', () => {
  it('cosigns a log of strangers as it grows; its policy takes the note with the line appended', async () => {
    const log = new TileLog(first).append(700);
    let held = 0;
    for (const size of [0, 1, 2, 255, 256, 257, 700, 700]) {
      const response = await post(requestOf(log, held, size));
      const lines = await response.text();
      expect([size, response.status, lines]).toEqual([
        size,
        200,
        expect.stringMatching(/^\u2014 witness\.example\/w1 /),
      ]);
      const opened = openCheckpoint(p, joined(log.head(size, []), lines), policyOf(log));
      expect([opened.quorum, opened.cosignatures[0]!.timestamp]).toEqual([true, time]);
      held = size;
    }
    const address = `${server.url}/${toHex(p.sha256(utf8(first.verifier.name)))}/checkpoint`;
    const shown = await fetch(address);
    expect(shown.headers.get('content-type')).toBe('text/plain; charset=utf-8');
    const opened = openCheckpoint(p, new Uint8Array(await shown.arrayBuffer()), policyOf(log));
    expect([opened.checkpoint.size, opened.quorum]).toEqual([700, true]);
    expect((await fetch(`${server.url}/${'ab'.repeat(32)}/checkpoint`)).status).toBe(404);
  });

  it('never dates a cosignature before an earlier one of the same log', async () => {
    const log = new TileLog(fifth).append(9);
    await post(requestOf(log, 0, 4));
    time -= 86_400;
    const lines = await (await post(requestOf(log, 4, 9))).text();
    time += 86_400;
    const opened = openCheckpoint(p, joined(log.head(9, []), lines), policyOf(log));
    expect(opened.cosignatures[0]!.timestamp).toBe(time);
  });

  it('answers each wrong request with the status that the specification gives', async () => {
    const log = new TileLog(second).append(40);
    expect((await post(requestOf(log, 0, 20))).status).toBe(200);
    const good = { oldSize: 20, proof: log.consistency(20, 30), note: log.head(30, []) };
    const changed = (changes: Partial<typeof good>): Uint8Array => formatWitnessRequest({ ...good, ...changes });
    const forged = new TileLog(signer('ed25519', second.verifier.name, 99)).append(40);
    const unknown = new TileLog(signer('ed25519', 'nobody.example/log', 61)).append(40);
    const fork = log.fork(10, 20);
    const text = fromUtf8(changed({}));
    const badLine = text.replace(
      /.{4}(.{4}\n)$/,
      (all, end: string) => `${all.startsWith('A') ? 'BAAA' : 'AAAA'}${end}`,
    );
    const cases: readonly (readonly [number, Uint8Array | string])[] = [
      [400, ''],
      [400, 'old 20\n'],
      [400, text.replace('old 20', 'old 020')],
      [400, text.replace('old 20', 'old -1')],
      [400, text.replace('old 20\n', `old 20\n${`${'A'.repeat(43)}=\n`.repeat(64)}`)],
      [400, text.replace('\n\n', '\n')],
      [400, text.replace('\n30\n', '\n030\n')],
      [400, changed({ oldSize: 31 })],
      [400, changed({ oldSize: 20, proof: [], note: log.head(10, []) })],
      [403, changed({ note: forged.head(30, []) })],
      [403, badLine],
      [404, changed({ note: unknown.head(30, []) })],
      [409, changed({ oldSize: 0, proof: [] })],
      [409, changed({ oldSize: 19 })],
      [422, changed({ proof: good.proof.slice(1) })],
      [422, changed({ proof: [...good.proof, good.proof[0]!] })],
      [422, changed({ note: fork.head(30, []) })],
      [422, changed({ proof: [], note: fork.head(20, []) })],
      [422, changed({ proof: good.proof, note: log.head(20, []) })],
      [413, 'x'.repeat(100_000)],
      [200, changed({})],
    ];
    expect(badLine).not.toBe(text);
    for (const [status, body] of cases) {
      const response = await post(body);
      expect([response.status, String(body).slice(0, 9)]).toEqual([status, String(body).slice(0, 9)]);
      if (status !== 409) continue;
      expect(response.headers.get('content-type')).toBe('text/x.tlog.size');
      expect(await response.text()).toBe('20\n');
    }
    expect((await fetch(`${server.url}/add-checkpoint`)).status).toBe(405);
    expect((await fetch(`${server.url}/`, { method: 'POST' })).status).toBe(404);
    // The two heads of one size are the evidence, both signed by the log.
    expect(evidence.map((note) => note.split('\n').slice(0, 2))).toEqual([
      [second.verifier.name, '20'],
      [second.verifier.name, '20'],
    ]);
    expect(evidence[0]!.split('\n')[2]).not.toBe(evidence[1]!.split('\n')[2]);
  });

  it('wants an empty proof from size 0, and the empty root at size 0', async () => {
    const log = new TileLog(third).append(8);
    const proof = log.consistency(3, 8);
    expect((await post(formatWitnessRequest({ oldSize: 0, proof, note: log.head(8, []) }))).status).toBe(422);
    const rootless = `${third.verifier.name}\n0\n${Buffer.alloc(32, 7).toString('base64')}\n`;
    const note = formatNote({ text: rootless, signatures: [signText(p, third, rootless, 0)] });
    expect((await post(formatWitnessRequest({ oldSize: 0, proof: [], note }))).status).toBe(422);
  });

  it('covers extension lines of other people’s checkpoints, ignores lines of keys it does not know', async () => {
    const log = new TileLog(fourth).append(5);
    const text = `${fromUtf8(log.head(5, [])).split('\n\n')[0]}\nan extension\nanother\n`;
    const stranger = signer('ed25519', 'who.example', 98);
    const lines = [signText(p, stranger, text, 0), signText(p, fourth, text, 0)];
    const note = formatNote({ text, signatures: lines });
    const response = await post(formatWitnessRequest({ oldSize: 0, proof: [], note }));
    expect(response.status).toBe(200);
    const line = fromUtf8(formatNote({ text, signatures: [signText(p, key, text, time)] }))
      .split('\n')
      .at(-2);
    expect(await response.text()).toBe(`${line}\n`);
    const empty = text.replace('another\n', '\n');
    const gap = formatNote({ text: empty, signatures: [signText(p, fourth, empty, 0)] });
    expect((await post(formatWitnessRequest({ oldSize: 5, proof: [], note: gap }))).status).toBe(400);
  });

  it('parses and writes a request the same', () => {
    const request = parseWitnessRequest(requestOf(new TileLog(first).append(30), 13, 29));
    expect(parseWitnessRequest(formatWitnessRequest(request))).toEqual(request);
    expect(() => parseWitnessRequest(utf8('old 1\n\n'.repeat(20_000)))).toThrow(/too long/);
  });
});

describe('check and persist are one step', () => {
  const forks = (size: number) => {
    const log = new TileLog(first).append(size);
    return [log, log.fork(size - 2, 2)] as const;
  };
  /** Sends two histories of one log at once, to two witnesses over one folder: two processes. */
  async function race(make: (records: RecordStore) => LogWitness, folder: string): Promise<number> {
    await using one = await openStore(folder);
    await using two = await openStore(folder);
    const witnesses = [make(one.records), make(two.records)];
    const answers = await Promise.all(
      forks(30).flatMap((log) => witnesses.map((witness) => witness.addCheckpoint(requestOf(log, 0, 30)))),
    );
    return answers.filter((answer) => 'line' in answer).length;
  }

  it('so of two histories that race only one is cosigned, once, and it is the one after a restart', async () => {
    const folder = join(scratch, 'race');
    expect(await race(witnessOver, folder)).toBe(1);
    await using again = await openStore(folder);
    const witness = witnessOver(again.records);
    const answers = await Promise.all(forks(30).map((log) => witness.addCheckpoint(requestOf(log, 30, 30))));
    expect(answers.filter((answer) => 'line' in answer)).toHaveLength(1);
  });

  it('which a witness that checks first and writes later does not do', async () => {
    vi.resetModules();
    vi.doMock('../../src/log/witness-heads.ts', async (original) => {
      const heads = await original<typeof import('../../src/log/witness-heads.ts')>();
      return {
        WitnessHeads: class extends heads.WitnessHeads {
          override async advance(...[origin, check, kept]: Parameters<WitnessHeads['advance']>) {
            const before = await this.held(origin);
            const state = check(before.state);
            if ('rejected' in state) return { held: before, refusal: state };
            return super.advance(origin, () => state, kept);
          }
        },
      };
    });
    const weakened = await import('../../src/log/log-witness.ts');
    vi.doUnmock('../../src/log/witness-heads.ts');
    const options = { primitives: p, signer: key, logs, now: () => time };
    const cosigned = await race((records) => new weakened.LogWitness({ ...options, records }), join(scratch, 'weak'));
    expect(cosigned).toBeGreaterThan(1);
  });

  it('and a witness that does not verify proofs cosigns a second history', async () => {
    const [log, fork] = forks(30);
    const attack = async (witness: Pick<LogWitness, 'addCheckpoint'>) => {
      const before = await witness.addCheckpoint(requestOf(log, 0, 30));
      const note = fork.append(5).head(35, []);
      const after = await witness.addCheckpoint(
        formatWitnessRequest({ oldSize: 30, proof: fork.consistency(30, 35), note }),
      );
      return ['line' in before, 'line' in after];
    };
    await using honest = await openStore(join(scratch, 'honest'));
    expect(await attack(witnessOver(honest.records))).toEqual([true, false]);
    vi.resetModules();
    vi.doMock('../../crypto/merkle.ts', async (original) => ({
      ...(await original<typeof import('../../crypto/merkle.ts')>()),
      verifyConsistency: () => true,
    }));
    const weakened = await import('../../src/log/log-witness.ts');
    vi.doUnmock('../../crypto/merkle.ts');
    await using other = await openStore(join(scratch, 'blind'));
    const options = { primitives: p, records: other.records, signer: key, logs, now: () => time };
    expect(await attack(new weakened.LogWitness(options))).toEqual([true, true]);
  });
});

describe('hostile callers', () => {
  it('that flood one log do not hold up another: each log has one request in the store at a time', async () => {
    await using busy = await openStore(join(scratch, 'flood'));
    const order: string[] = [];
    const gates: (() => void)[] = [];
    // Every transaction waits for a gate that the test opens, so the order is the witness's own.
    const records: RecordStore = Object.assign(Object.create(busy.records) as RecordStore, {
      transact: async (step: Parameters<RecordStore['transact']>[0]) => {
        const name = `transaction ${order.push('enters') - 1}`;
        await new Promise<void>((open) => gates.push(open));
        return busy.records.transact(step).finally(() => order.push(name));
      },
      get: busy.records.get.bind(busy.records),
    });
    const witness = witnessOver(records);
    const loud = new TileLog(first).append(100);
    const quiet = new TileLog(second).append(10);
    const flood = Array.from({ length: 100 }, (_, i) => witness.addCheckpoint(requestOf(loud, 0, i + 1)));
    const early = Promise.all(flood.map((answer) => answer.then((given) => ('busy' in given ? 1 : 0))));
    const other = witness.addCheckpoint(requestOf(quiet, 0, 10));
    await vi.waitFor(() => expect(gates).toHaveLength(2)); // one of the loud log's, and the quiet one's
    gates[1]!();
    expect(await other).toHaveProperty('line');
    gates[0]!();
    // The rest find that another request was faster, one after the other.
    for (let next = 2; next < 9; next++) {
      await vi.waitFor(() => expect(gates.length).toBeGreaterThan(next));
      gates[next]!();
    }
    expect((await early).reduce((sum: number, one) => sum + one, 0)).toBe(92);
    const cosigned = await Promise.all(flood);
    expect(cosigned.filter((answer) => 'line' in answer)).toHaveLength(1);
  });

  it('that send junk, half a request, or compressed bodies are refused, and others are served meanwhile', async () => {
    const half = connect(server.port, '127.0.0.1');
    half.write('POST /add-checkpoint HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nold 0\n');
    const log = new TileLog(fifth).append(50);
    const compressed = await new Promise<number>((resolve) => {
      const headers = { 'Content-Encoding': 'gzip', 'Content-Type': 'text/plain' };
      const sent = httpRequest(`${server.url}/add-checkpoint`, { method: 'POST', headers }, (response) => {
        response.resume();
        resolve(response.statusCode!);
      });
      sent.end(Buffer.alloc(100));
    });
    expect(compressed).toBe(415);
    expect((await post(Buffer.from([0xff, 0xfe, 10, 10]))).status).toBe(400);
    expect((await post(requestOf(log, 9, 50))).status).toBe(200);
    half.destroy();
  });

  it('are counted by address', async () => {
    const app = createWitnessApp({ witness: witnessOver(store.records), requestsPerMinute: 2 });
    const limited = await listenHttp(app, '127.0.0.1', 0);
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await post('', limited.url)).status);
    await limited[Symbol.asyncDispose]();
    expect(statuses).toEqual([400, 400, 429]);
  });

  it('get no inside of a failing store: 503, and the operator is told', async () => {
    const faults: unknown[] = [];
    const failing = { addCheckpoint: () => Promise.reject(new Error('disk')), checkpointOf: async () => undefined };
    const app = createWitnessApp({ witness: failing, onFault: (error) => faults.push(error) });
    const broken = await listenHttp(app, '127.0.0.1', 0);
    const response = await post('', broken.url);
    expect([response.status, await response.text()]).toEqual([503, 'the witness cannot write\n']);
    await broken[Symbol.asyncDispose]();
    expect(faults).toHaveLength(1);
  });
});
