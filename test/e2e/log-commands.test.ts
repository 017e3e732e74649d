import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openCheckpoint } from '../../crypto/checkpoint.ts';
import { fromUtf8, toHex, utf8 } from '../../crypto/encoding.ts';
import { leafHash } from '../../crypto/merkle.ts';
import { formatVkey, parseVkey } from '../../crypto/note.ts';
import { flatPolicy, formatPolicy, parsePolicy } from '../../crypto/policy.ts';
import { formatWitnessRequest } from '../../crypto/witness-request.ts';
import { createPartyFolder } from '../../src/keys/party-folder.ts';
import { freePort } from '../../src/platform/free-port.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { logSigner, policy } from '../faults/log-fixture.ts';
import { type ServedFiles, serveFiles, TileLog } from '../reference/tile-log.ts';
import { CommandLine } from './command.ts';

let cli: CommandLine;
let log: TileLog;
let served: ServedFiles;

beforeAll(async () => {
  cli = new CommandLine(mkdtempSync(join(tmpdir(), 'veilsum-log-cli-')));
  writeFileSync(cli.path('policy.txt'), formatPolicy(policy));
  log = new TileLog().append(300).publish();
  served = await serveFiles((path) => log.file(path));
});
afterAll(async () => {
  cli.kill();
  await served[Symbol.asyncDispose]();
  rmSync(cli.folder, { recursive: true, force: true });
});

async function ends(args: string): Promise<readonly [number | null, string]> {
  const { code, out, err } = await cli.run(args);
  return [code, `${out}${err}`.trim()];
}

describe('veilsum log prove, verify-proof', () => {
  it('by index and by hash; 0 where it holds, 1 where it does not, 3 for wrong usage', async () => {
    const flags = `--log ${served.url} --policy policy.txt`;
    expect(await ends(`log prove 17 ${flags} --leaf-out leaf`)).toEqual([
      0,
      'leaf-17.tlog-proof: leaf 17 is in the log of 300 leaves (signed and cosigned as the policy asks).',
    ]);
    const hash = toHex(leafHash(p, log.entries[17]!));
    expect((await ends(`log prove ${hash} ${flags} --out by-hash`))[0]).toBe(0);
    expect(readFileSync(cli.path('by-hash'))).toEqual(readFileSync(cli.path('leaf-17.tlog-proof')));
    const [code, said] = await ends('log verify-proof leaf-17.tlog-proof --leaf leaf --policy policy.txt');
    expect([code, said]).toEqual([0, expect.stringMatching(/^verified: leaf 17 of 300 in log\.example\/test\n/)]);
    writeFileSync(cli.path('other'), 'never logged');
    const wrong = await ends('log verify-proof leaf-17.tlog-proof --leaf other --policy policy.txt');
    expect(wrong).toEqual([1, expect.stringContaining('veilsum: NOT_PROVEN: ')]);
    expect(await ends(`log prove 300 ${flags}`)).toEqual([
      1,
      expect.stringContaining('NOT_FOUND: the log has 300 leaves'),
    ]);
    expect((await ends(`log prove seventeen ${flags}`))[0]).toBe(3);
    expect(await ends('log prove 17 --log http://127.0.0.1:9')).toEqual([1, expect.stringContaining('UNREACHABLE')]);
  });
});

describe('veilsum log mirror', () => {
  it('copies once, follows until it is stopped, and ends with code 1 and both heads when the log is rolled back', async () => {
    const flags = `--log ${served.url} --policy policy.txt --out mirror`;
    expect((await ends(`log mirror ${flags} --once`))[0]).toBe(0);
    const following = await cli.start(`log mirror ${flags} --every 1`);
    log.append(50).publish();
    const size = () => readFileSync(cli.path('mirror', 'checkpoint'), 'utf8').split('\n')[1];
    await vi.waitFor(() => expect(size()).toBe('350'), { timeout: 20_000, interval: 100 });
    const { code, out } = await following.stop();
    expect([code, out.trim().split('\n').at(-1)]).toEqual([0, 'stopped']);
    const behind = log.publish(200);
    const refused = await ends(`log mirror ${flags}`);
    behind.publish(350);
    expect(refused).toEqual([1, expect.stringContaining('veilsum: ROLLED_BACK: ')]);
    const [kept] = readdirSync(cli.path('mirror', 'evidence'));
    expect(refused[1]).toContain(`both heads are in mirror/evidence/${kept}`);
    expect([size(), readdirSync(cli.path('mirror', 'evidence')).length]).toEqual(['350', 1]);
    expect((await ends(`log mirror ${flags} --once --every 5`))[0]).toBe(3);
    // Leaves that are no leaves of ours: the audit reads the folder and says so.
    expect(await ends('audit mirror --policy policy.txt')).toEqual([1, expect.stringContaining('verdict: violation')]);
  });
});

describe('veilsum log witness', () => {
  it('makes its key once, serves until it is stopped, and knows after a restart what it has cosigned', async () => {
    const identity = '--name witness.example/w1 --key witness.key';
    const [code, vkey] = await ends(`log witness ${identity} --print-key`);
    expect([code, formatVkey(parseVkey(p, vkey))]).toEqual([0, vkey]);
    expect(statSync(cli.path('witness.key')).mode & 0o777).toBe(0o600);
    expect((await ends(`log witness ${identity} --print-key`))[1]).toBe(vkey);
    const port = await freePort();
    const flags = `log witness ${identity} --listen 127.0.0.1:${port} --state state --log ${formatVkey(logSigner.verifier)}`;
    const ask = async (oldSize: number, note: number) => {
      const proof = log.consistency(oldSize, note);
      const body = Buffer.from(formatWitnessRequest({ oldSize, proof, note: log.head(note, []) }));
      const response = await fetch(`http://127.0.0.1:${port}/add-checkpoint`, { method: 'POST', body });
      return [response.status, await response.text()] as const;
    };
    const first = await cli.start(flags);
    const [status, line] = await ask(0, 100);
    const strangers = flatPolicy(
      p,
      [{ verifier: logSigner.verifier, url: null }],
      [{ name: 'w', verifier: parseVkey(p, vkey), url: null }],
      1,
    );
    expect(status).toBe(200);
    expect(openCheckpoint(p, utf8(fromUtf8(log.head(100, [])) + line), strangers).quorum).toBe(true);
    expect((await first.stop()).code).toBe(0);
    const second = await cli.start(flags);
    expect(await ask(0, 120)).toEqual([409, '100\n']);
    expect((await ask(100, 120))[0]).toBe(200);
    expect((await second.stop()).code).toBe(0);
    expect((await ends(`log witness ${identity} --listen 127.0.0.1:${port} --state state`))[0]).toBe(3);
    expect((await ends('log witness --name a+b --key k --state state --policy policy.txt'))[0]).toBe(3);
  });

  it('is named by founders with its key and address, and counts in genesis and policy', async () => {
    const [, vkey] = await ends('log witness --name stranger.example/w9 --key stranger.key --print-key');
    const roles = { c: 'coordinator', a: 'aggregator', m1: 'member', m2: 'member', m3: 'member' } as const;
    for (const [name, role] of Object.entries(roles)) {
      const party = { name, role, organisation: name, region: 'eu', address: '127.0.0.1:9' };
      await createPartyFolder(p, systemRng, cli.path(name), party);
    }
    const cards =
      '--coordinator c/card.json --aggregator a/card.json --member m1/card.json --member m2/card.json --member m3/card.json';
    const init = `init --dir founders --origin lab.example/log ${cards}`.split(' ');
    const wrong = await cli.run([...init, '--outside-witness', `stranger ${vkey}`]);
    expect([wrong.code, wrong.err]).toEqual([1, expect.stringContaining("'NAME VKEY URL'")]);
    const { code, out } = await cli.run([...init, '--outside-witness', `stranger ${vkey} https://stranger.example/w9`]);
    expect([code, out]).toEqual([0, expect.stringContaining('4 witness the log')]);
    const made = parsePolicy(p, new Uint8Array(readFileSync(cli.path('founders', 'policy.txt'))));
    expect(made.witnesses.map(({ verifier }) => formatVkey(verifier))).toContain(vkey);
    const federation = JSON.parse(readFileSync(cli.path('founders', 'federation.json'), 'utf8'));
    expect(federation.httpWitnesses).toEqual([{ name: 'stranger', url: 'https://stranger.example/w9' }]);
    expect(existsSync(cli.path('founders', 'certificates', 'stranger.crt'))).toBe(false);
  });
});
