import { createPrivateKey } from 'node:crypto';
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromHex } from '../../crypto/encoding.ts';
import { readKeyFile } from '../../src/config/files.ts';
import { download } from '../../src/grpc/download.ts';
import { AggregationService, QuorumService, ResultService, RoundService } from '../../src/grpc/services.ts';
import { exportLog } from '../../src/log/log-folder.ts';
import { decodeParts } from '../../src/party/parts.ts';
import { RoundFiles } from '../../src/party/round-files.ts';
import { loadTlsIdentity } from '../../src/tls/files.ts';
import { CommandLine } from '../e2e/command.ts';
import { FederationLab } from '../e2e/federation-lab.ts';
import { updateOf } from '../e2e/lab-parties.ts';
import { FORMS, findSecrets, printed, type Secret } from '../reference/secret-search.ts';

const nodes = ['one', 'two', 'three'];
const holdersOfShares = ['member-1', 'member-2', 'member-3', 'owner'];

/** Everything secret of the run, as it came to be. */
const secrets: Secret[] = [];
/** What anybody may come to see, by where. */
const shown = new Map<string, string[]>();
let lab: FederationLab;
/** The planted leak: called with every secret that a party is about to keep. */
let leak: (secret: Secret) => void = () => {};

const keep = vi.hoisted(() => {
  // The transport's own debug output, all of it; read when the library is loaded.
  Object.assign(process.env, { GRPC_TRACE: 'all', GRPC_VERBOSITY: 'DEBUG', VEILSUM_DEBUG: '1' });
  return { share: (_values: Uint16Array | Int32Array, _name: string) => {} };
});

vi.mock('../../crypto/sharing.ts', async (original) => {
  const real = await original<typeof import('../../crypto/sharing.ts')>();
  const watched: Pick<typeof real, 'shareSum' | 'recoverKey' | 'correction'> = {
    shareSum: (...input) => {
      const sum = real.shareSum(...input);
      keep.share(sum, 'K_T');
      return sum;
    },
    recoverKey: (...input) => {
      const key = real.recoverKey(...input);
      keep.share(key, 'sum of the keys');
      return key;
    },
    correction: (...input) => {
      keep.share(input[2], 'pairwise mask');
      return real.correction(...input);
    },
  };
  return { ...real, ...watched };
});

function show(where: string, ...what: readonly unknown[]): void {
  const texts = what.map((one) => {
    if (one instanceof Uint8Array) return Buffer.from(one).toString('latin1');
    return typeof one === 'string' ? one : inspect(one, { depth: 8, maxArrayLength: null, maxStringLength: null });
  });
  shown.set(where, [...(shown.get(where) ?? []), ...texts]);
}

/** A copy: parties wipe what they made. */
function add(
  name: string,
  holders: readonly string[],
  values: Uint8Array | Int16Array | Uint16Array | Int32Array,
): void {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice();
  const secret = { name, holders, bytes, numbers: [...values] };
  secrets.push(secret);
  leak(secret);
}

/** Whose folder holds the file that was just written. */
function ownerOf(round: string, name: string, bytes: Uint8Array): string {
  const holds = (party: string): boolean => {
    try {
      return readFileSync(join(lab.path(party), 'rounds', round, name)).equals(bytes);
    } catch {
      return false;
    }
  };
  return lab.local.cards.map((card) => card.name).find(holds)!;
}

/** Secrets of a round, as a party's file of it holds them. */
function addRoundSecrets(round: string, name: string, bytes: Uint8Array): void {
  const owner = ownerOf(round, name, bytes);
  const parts = name === 'round.key' ? [] : decodeParts(bytes.slice());
  if (name === 'round.key') {
    add(`round key of ${owner}`, [owner], bytes);
  } else if (name === 'upload') {
    const [, , key, updateHash, maskSecret] = parts;
    add(`one-time key of ${owner}`, [owner], new Int16Array(key!.slice().buffer));
    add(`H(m) of ${owner}`, [owner], updateHash!);
    add(`mask secret of ${owner}`, [owner], maskSecret!);
  } else if (name.startsWith('seeds-')) {
    for (const seed of parts) add(`recipients' seed of ${owner}`, [owner], seed);
  } else add(`attempt seed of ${owner}`, [owner], parts[0]!);
}

/** Keys that live as long as their party: each as in its file, TLS keys also as the bare scalar. */
function addLastingKeys(): void {
  for (const [path, bytes] of lab.files()) {
    if (!path.endsWith('.key')) continue;
    const place = path.slice(lab.folder.length + 1).split('/');
    const holder = place[0] === 'parties' ? place[1]! : place[0]!;
    if (bytes.length === 32) {
      add(`${place.at(-1)} of ${holder}`, [holder], bytes);
      continue;
    }
    const key = createPrivateKey(bytes);
    add(`${place.at(-1)} of ${holder}`, [holder], Buffer.from(key.export({ format: 'jwk' }).d!, 'base64url'));
  }
}

async function refusedCalls(round: string): Promise<void> {
  const node = await lab.tlsOf('one');
  const outsider = await lab.tlsOf('witness-1');
  const leaf = new TextEncoder().encode('{"kind":"upload"}');
  const id = fromHex(round, 32);
  const result = (offsetBytes: bigint) => ({ roundId: id, offsetBytes });
  const calls: [string, string, (c: ReturnType<FederationLab['connect']>) => Promise<unknown>][] = [
    ['one', 'owner', (c) => download([c], ResultService.fetch, result, () => {}, { maxBytes: 1 << 20 })],
    [
      'one',
      'aggregator-1',
      (c) => c.callOnce(AggregationService.sum, { roundId: id, attempt: 1, payloadHashes: [] }, 5000),
    ],
    ['one', 'aggregator-1', (c) => c.callOnce(AggregationService.confirm, { leaf, correction: leaf, boxes: [] }, 5000)],
    ['one', 'aggregator-2', (c) => c.callOnce(AggregationService.reseal, { leaf }, 5000)],
    ['out', 'aggregator-1', (c) => c.callOnce(QuorumService.putAnswer, { leaf, sealed: [] }, 5000)],
    ['one', 'coordinator', (c) => c.callOnce(RoundService.abort, { roundId: id }, 5000)],
    ['officer', 'coordinator', (c) => c.callOnce(RoundService.abort, { roundId: id }, 5000)],
    ['officer', 'coordinator', (c) => c.callOnce(RoundService.open, { task: leaf, requestId: leaf }, 5000)],
  ];
  for (const [from, to, call] of calls) {
    const connection = lab.connect(from === 'officer' ? 'officer' : from === 'out' ? outsider : node, to);
    const error = await call(connection).then(
      () => new Error(`${from} to ${to}: not refused`),
      (cause: unknown) => cause,
    );
    connection.close();
    expect(error, `${from} to ${to}`).toMatchObject({ remote: true });
    show('errors', error, String(error), JSON.stringify(error), (error as Error).stack);
  }
}

/** Key files that cannot be used, and what is said about them. */
async function refusedFiles(): Promise<void> {
  const copy = (name: string, of: string): string => {
    const path = join(lab.folder, name);
    copyFileSync(join(lab.path('one'), of), path);
    return path;
  };
  const exposed = copy('exposed', 'identity.key');
  chmodSync(exposed, 0o644);
  const long = copy('long', 'identity.key');
  writeFileSync(long, Buffer.concat([readFileSync(long), readFileSync(long)]), { mode: 0o600 });
  const tls = copy('broken', 'tls/tls.key');
  writeFileSync(tls, readFileSync(tls).subarray(0, -40), { mode: 0o600 });
  const failures: (() => unknown)[] = [
    () => readKeyFile(exposed, 'identity key'),
    () => readKeyFile(long, 'identity key'),
    () => decodeParts(readFileSync(long)),
    () => loadTlsIdentity(join(lab.path('one'), 'rounds')),
    async () => (await import('../../src/tls/files.ts')).loadTlsKey(tls),
  ];
  for (const failing of failures) {
    try {
      await failing();
      throw new Error('not refused');
    } catch (error) {
      expect(String(error)).not.toContain('not refused');
      show('errors', error, (error as Error).stack, (error as Error).cause);
    }
  }
}

/** The files of parties, each without what the party itself may hold. */
function leaksIntoFolders(): string[] {
  const names = ['aggregators', ...lab.local.cards.map((card) => `parties/${card.name}`)];
  return names.flatMap((name) => {
    const party = name.split('/').at(-1)!;
    const foreign = secrets.filter(({ holders }) => !holders.includes(party));
    const files = Buffer.concat([...lab.files(join(lab.folder, name)).values()]);
    return findSecrets(foreign, files).map((found) => `${found} in the folder of ${party}`);
  });
}

function leaks(): string[] {
  const anywhere = [...shown].flatMap(([where, texts]) =>
    findSecrets(secrets, Buffer.from([...texts, ''].join('\n'), 'latin1')).map((found) => `${found} in ${where}`),
  );
  const events = JSON.stringify(lab.events);
  return [...anywhere, ...findSecrets(secrets, events).map((found) => `${found} in log lines`)];
}

const streams = { out: process.stdout.write, err: process.stderr.write };

beforeAll(async () => {
  for (const stream of [process.stdout, process.stderr]) {
    stream.write = ((chunk: string | Uint8Array) => {
      show('output', chunk);
      return true;
    }) as typeof stream.write;
  }
  for (const printer of ['log', 'info', 'warn', 'error', 'debug'] as const)
    vi.spyOn(console, printer).mockImplementation((...words) => show('output', ...words));
  keep.share = (values, name) => add(name, name === 'pairwise mask' ? nodes : holdersOfShares, values);
  const { write } = RoundFiles.prototype;
  vi.spyOn(RoundFiles.prototype, 'write').mockImplementation(function (this: RoundFiles, round, name, bytes) {
    write.call(this, round, name, bytes);
    addRoundSecrets(round, name, bytes);
  });
  lab = await FederationLab.start({ nodes, coordinator: { readyMs: 15_000, http: { host: '127.0.0.1', port: 0 } } });
}, 180_000);

afterAll(async () => {
  await lab[Symbol.asyncDispose]();
  Object.assign(process.stdout, { write: streams.out });
  Object.assign(process.stderr, { write: streams.err });
}, 180_000);

describe('P36: no secret shows in anything that a party says, logs, publishes or keeps for others', () => {
  it('P36: over a round with debug output, refused calls, unusable files, pages and an audit', async () => {
    addLastingKeys();
    const round = await lab.open();
    for (const name of nodes) add(`update of ${name}`, [name], updateOf(name, 1, 300));
    await lab.until(round, (r) => r.phase !== 'uploading');
    const inFlight = leaksIntoFolders();
    // Where a secret may be, the same search finds it.
    const own = (name: string): string[] =>
      findSecrets(secrets, Buffer.concat([...lab.files(lab.path(name)).values()]));
    for (const kind of ['one-time key', 'H(m)', 'mask secret', 'identity.key', 'kem.key'])
      expect(own('one')).toContain(`${kind} of one as raw`);
    expect(own('member-1')).toContain('round key of member-1 as raw');
    expect(await lab.end(round)).toBe('released');
    await refusedCalls(round);
    await refusedFiles();
    const { keeper, url } = lab.coordinator;
    for (const leaf of await keeper.log.entries(0, keeper.log.size)) show('leaves', leaf);
    for (const page of ['/', '/healthz', '/checkpoint', '/tile/0/000', '/rounds.css', '/nothing', '/tile/9/x']) {
      const response = await fetch(url + page);
      show('pages', page, [...response.headers], new Uint8Array(await response.arrayBuffer()));
    }
    const log = join(lab.folder, 'log');
    await exportLog(keeper.log, log);
    const commands = new CommandLine(lab.folder);
    for (const json of ['', ' --json']) {
      const { code, out, err } = await commands.run(`audit log --policy founders/policy.txt${json}`, {
        VEILSUM_DEBUG: '1',
      });
      expect(code, err).toBe(0);
      show('reports', out, err);
    }
    show('reports', ...lab.files(log).values());
    expect([...inFlight, ...leaksIntoFolders(), ...leaks()]).toEqual([]);
    // That the search had something to search, and for.
    expect([...shown.keys()].sort()).toEqual(['errors', 'leaves', 'output', 'pages', 'reports']);
    for (const where of shown.keys()) expect([where, shown.get(where)!.join('').length > 500]).toEqual([where, true]);
    expect(lab.events.length).toBeGreaterThan(20);
    const kinds = new Set(secrets.map(({ name }) => name.split(' of ')[0]));
    expect([...kinds].sort()).toEqual(
      [
        ...['H(m)', 'K_T', 'attempt seed', 'ca.key', 'identity.key', 'kem.key', 'mask secret', 'one-time key'],
        ...['pairwise mask', "recipients' seed", 'root.key', 'round key', 'sum', 'tls.key', 'update'],
      ].sort(),
    );
  }, 180_000);

  it('P36 control: every secret in every form is found in a text around it', () => {
    for (const secret of secrets) {
      for (const form of FORMS) {
        const text = Buffer.concat([Buffer.from('{"why":"got '), printed(secret, form), Buffer.from(' instead"}')]);
        expect(findSecrets([secret], text)).toContain(`${secret.name} as ${form}`);
        expect(findSecrets([secret], text.subarray(0, 12))).toEqual([]);
      }
    }
  });

  it('P36 control: a party that prints what it keeps is found out, whatever the form', async () => {
    let turn = 0;
    leak = (secret) => {
      const form = FORMS[turn++ % FORMS.length]!;
      const value = Buffer.from(printed(secret, form));
      // As one event line; raw bytes are none, so by themselves.
      const line = JSON.stringify({ time: 'now', party: 'x', event: 'debug', value: value.toString('latin1') });
      process.stderr.write(form === 'raw' ? value : `${line}\n`);
    };
    const before = secrets.length;
    const round = await lab.open(1);
    expect(await lab.end(round)).toBe('released');
    leak = () => {};
    const planted = secrets.slice(before).map(({ name }) => name);
    expect(planted.length).toBeGreaterThan(10);
    const found = leaks().join('\n');
    for (const name of planted) expect(found).toContain(name);
  }, 180_000);
});
