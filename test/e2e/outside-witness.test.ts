import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { cosign } from '../../crypto/checkpoint.ts';
import { leafHash } from '../../crypto/merkle.ts';
import { formatSignatures, makeSigner, parseVkey } from '../../crypto/note.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { parseProof, verifyProof } from '../../crypto/tlog-proof.ts';
import { auditFolder } from '../../src/audit/audit-folder.ts';
import { serveHttp } from '../../src/http/serve.ts';
import { parseOutsideWitness } from '../../src/keys/outside-witness.ts';
import { logSource } from '../../src/log/log-source.ts';
import { Mirror } from '../../src/log/mirror.ts';
import { proveLeaf } from '../../src/log/prove.ts';
import { httpWitness } from '../../src/party/ask-witness.ts';
import type { RunningCoordinator } from '../../src/party/coordinator.ts';
import { makeWitnessKey, runLogWitness, witnessVkey } from '../../src/party/log-witness.ts';
import { freePort } from '../../src/platform/free-port.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { witnesses } from '../faults/log-fixture.ts';
import { TileLog } from '../reference/tile-log.ts';
import { FederationLab } from './federation-lab.ts';
import { plainSum } from './lab-parties.ts';

const scratch = mkdtempSync(join(tmpdir(), 'veilsum-outside-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function serve(answer: RequestListener): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer(answer);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

describe('a federation with a witness of other people', () => {
  const [name, keyFile] = ['witness.example/w1', join(scratch, 'witness.key')];

  it('runs a round whose heads need its cosignature over HTTP; a stranger’s policy verifies the log', async () => {
    // The witness is told of the log only after the log was founded.
    const port = await freePort();
    makeWitnessKey(keyFile);
    const text = `outside ${witnessVkey(name, keyFile)} http://127.0.0.1:${port}/`;
    // W = 7, w = 5: with two witnesses of the federation gone, five are left, the stranger's among them.
    await using lab = await FederationLab.start({
      nodes: ['n1', 'n2', 'n3'],
      outsideWitnesses: [parseOutsideWitness(p, text)],
      absent: ['witness-1', 'witness-2', 'coordinator', 'owner', 'n1', 'n2', 'n3', 'aggregator-1', 'aggregator-2'],
    });
    expect(lab.logPolicy.quorum).toBe('quorum');
    const setting = {
      ...{ host: '127.0.0.1', port, name, keyFile, stateFolder: join(scratch, 'state') },
      logs: lab.logPolicy.logs.map(({ verifier }) => verifier),
    };
    const coordinator = (await lab.run('coordinator')) as RunningCoordinator;
    for (const leaf of lab.local.enrolments) await coordinator.keeper.append(leaf);
    // Without the stranger no head has its quorum.
    expect(coordinator.keeper.log.published).toBeUndefined();
    let witness = await runLogWitness(setting);
    lab.log.start();
    for (const party of ['aggregator-1', 'aggregator-2', 'owner', 'n1', 'n2', 'n3']) await lab.run(party);
    const first = await lab.open();
    expect(await lab.end(first)).toBe('released');
    expect(await lab.result(first)).toEqual(plainSum(['n1', 'n2', 'n3'], 1, 300));
    const before = coordinator.keeper.log.published!;
    expect(before.cosignatures.map((line) => line.witness.name)).toContain('outside');
    // It comes back with what it held, and the log goes on.
    await witness.stop();
    witness = await runLogWitness(setting);
    await coordinator.keeper.append(
      coordinator.party.leaf('announce', { task: 'lab', number: 2, recipients: ['owner'] }),
    );
    await lab.log.until((t) => t.size > before.checkpoint.size, AbortSignal.timeout(30_000));
    await witness.stop();
    // A stranger copies the log over HTTP, proves a leaf of it, and audits the copy.
    await using http = await serveHttp({ log: coordinator.keeper.log, rounds: async () => [] }, '127.0.0.1', 0);
    const source = logSource(http.url);
    const options = { primitives: p, source, policy: lab.logPolicy, folder: join(scratch, 'log') };
    const { size } = await (await Mirror.open(options)).step();
    expect(size).toBe(coordinator.keeper.log.published!.checkpoint.size);
    const proven = await proveLeaf(p, source, size - 1, lab.logPolicy);
    const leaf = leafHash(p, proven.entry);
    expect(verifyProof(p, parseProof(proven.proof), leaf, lab.logPolicy).checkpoint.size).toBe(size);
    const { exitCode, text: report } = await auditFolder({
      folder: join(scratch, 'log'),
      policyFile: join(lab.folder, 'founders', 'policy.txt'),
    });
    expect([exitCode, report]).toEqual([0, expect.stringContaining('cosigned by outside at ')]);
  }, 180_000);
});

describe('a witness that lies or fails', () => {
  const log = new TileLog().append(9);
  const [known, other] = [witnesses[0]!, witnesses[1]!];
  const request = { oldSize: 0, proof: [], note: log.head(9, []) };
  const lineFor = (size: number, by = known) => formatSignatures([cosign(p, by, log.head(size, []), 1_700_000_000)]);

  /** What asking a server with this answer comes to: the number of lines, or the error's code. */
  async function asked(status: number, body: string | Buffer, headers = {}, ask = httpWitness): Promise<unknown> {
    await using server = await serve((_request, response) => void response.writeHead(status, headers).end(body));
    const witness = ask('w0', server.url, known.verifier);
    return await witness.ask(request).then(
      ({ knownSize, lines }) => [knownSize, lines.length],
      (error: Error & { code?: string }) => error.code ?? error.name,
    );
  }

  it('is one that is missing: only its own key’s line over this very head counts', async () => {
    expect(await asked(200, lineFor(9))).toEqual([9, 1]);
    expect(await asked(200, lineFor(9, other) + lineFor(9))).toEqual([9, 1]);
    expect(await asked(409, '5\n')).toEqual([5, 0]);
    expect(await asked(200, lineFor(8))).toBe('BAD_SIGNATURE');
    expect(await asked(200, lineFor(9, other))).toBe('BAD_SIGNATURE');
    expect(await asked(200, lineFor(9) + lineFor(8))).toBe('BAD_SIGNATURE');
    const named = makeSigner(p, 'cosignature', known.verifier.name, new SecretBytes('x', new Uint8Array(32).fill(9)));
    expect(await asked(200, lineFor(9, named))).toBe('BAD_SIGNATURE');
    expect(await asked(200, '')).toBe('BAD_ENCODING');
    expect(await asked(200, Buffer.from([0xff, 0xff]))).toBe('BAD_ENCODING');
    expect(await asked(200, 'x'.repeat(1 << 20))).toBe('TOO_LARGE');
    expect(await asked(409, '05\n')).toBe('MALFORMED');
    expect(await asked(409, '-1\n')).toBe('MALFORMED');
    expect(await asked(422, 'no\n')).toBe('NOT_COSIGNED');
    expect(await asked(302, '', { Location: 'http://127.0.0.1:9/' })).toBe('TypeError');
    await expect(httpWitness('w0', 'http://127.0.0.1:9', known.verifier).ask(request)).rejects.toThrow(TypeError);
  });

  it('would count for a head that it never saw, were its line not verified', async () => {
    vi.resetModules();
    vi.doMock('../../crypto/note.ts', async (original) => ({
      ...(await original<typeof import('../../crypto/note.ts')>()),
      verifySignature: () => ({}),
    }));
    const weakened = await import('../../src/party/ask-witness.ts');
    vi.doUnmock('../../crypto/note.ts');
    expect(await asked(200, lineFor(8), {}, weakened.httpWitness)).toEqual([9, 1]);
  });
});

describe('an outside witness as founders write it', () => {
  it('is a name, a verifier key of a witness, and a URL', () => {
    const vkey = 'witness.example/w1+b9ad9f8e+BA==';
    const good = 'outside KEY https://witness.example/prefix/';
    makeWitnessKey(join(scratch, 'other.key'));
    const key = witnessVkey('witness.example/w1', join(scratch, 'other.key'));
    const parsed = parseOutsideWitness(p, good.replace('KEY', key));
    expect(parsed).toMatchObject({ name: 'outside', organisation: 'witness.example' });
    expect(parsed.verifier).toEqual(parseVkey(p, key));
    const wrong = [
      good.replace('KEY', vkey),
      'outside',
      `Out ${key} https://w`,
      `outside ${key} ftp://w`,
      `outside ${key}`,
    ];
    const ofLog = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
    for (const text of [...wrong, good.replace('KEY', ofLog), `${good.replace('KEY', key)} more`]) {
      expect(() => parseOutsideWitness(p, text), text).toThrow(expect.objectContaining({ code: 'INVALID' }));
    }
  });
});
