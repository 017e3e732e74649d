import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../src/platform/free-port.ts';
import { CommandLine } from './command.ts';

const cli = new CommandLine(mkdtempSync(join(tmpdir(), 'veilsum-score-')));
const inputs =
  'score --model sample/model.safetensors --schema synthetic --data sample/organisations.csv --id id --name organisation --territory territory';

beforeAll(async () => {
  const { code, out, err } = await cli.run('score sample --out sample --organisations 300');
  expect([code, err]).toEqual([0, '']);
  expect(out).toContain('veilsum score --model sample/model.safetensors --schema synthetic');
});
afterAll(() => {
  cli.kill();
  rmSync(cli.folder, { recursive: true, force: true });
});

describe('veilsum score', () => {
  it('ranks with evidence, on the terminal and into a private file', async () => {
    const [text, file] = await Promise.all([
      cli.run(`${inputs} --top 3 --outcomes sample/held-out.csv`),
      cli.run(`${inputs} --top 3 --out leads.csv --signals 2`),
    ]);
    expect([text.code, text.err, file.code]).toEqual([0, '', 0]);
    expect(text.out).toContain('Chance of being a hot lead: the first 3 of');
    expect(text.out).toMatch(/had it \(95 % interval|Too few known outcomes/);
    const lines = readFileSync(cli.path('leads.csv'), 'utf8').trim().split('\n');
    expect(lines[0]).toBe('rank,id,organisation,territory,probability,log_odds,compared_with,signal_1,signal_2');
    expect(lines.length).toBe(4);
    for (const line of lines.slice(1)) expect(text.out).toContain(line.split(',')[1]);
    expect(statSync(cli.path('leads.csv')).mode & 0o077).toBe(0);
  });

  it('names what is missing or wrong', async () => {
    const [none, schema, ending] = await Promise.all([
      cli.run('score'),
      cli.run('score --model sample/model.safetensors --data sample/organisations.csv'),
      cli.run(`${inputs} --out leads.xlsx`),
    ]);
    expect([none.code, none.err]).toEqual([3, 'veilsum: USAGE: --model and --data are needed\n']);
    expect([schema.code, schema.err]).toEqual([1, expect.stringContaining('BAD_SETTING: which schema?')]);
    expect([ending.code, ending.err]).toEqual([3, expect.stringContaining('.csv or .json')]);
  });
});

describe('veilsum score serve', () => {
  it('serves with a certificate of its own; a token that is taken back is refused', async () => {
    const made = await cli.run('score token new --tokens tokens.json --name anna --territory emea');
    const [token] = made.out.split('\n');
    expect((await cli.run('score token new --tokens tokens.json --name anna --territory emea')).err).toContain(
      'TOKEN_EXISTS',
    );
    expect((await cli.run('score token list --tokens tokens.json')).out).toMatch(/anna +emea/);
    const subject = ['-subj', '/CN=scores', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2', '-nodes'];
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-keyout', 'tls.key'];
    execFileSync('openssl', ['req', '-x509', ...key, ...subject, '-out', 'tls.crt'], {
      cwd: cli.folder,
      stdio: 'ignore',
    });
    const port = await freePort();
    const command = `${inputs.replace('score', 'score serve')} --tokens tokens.json --group industry --listen 127.0.0.1:${port} --tls-cert tls.crt --tls-key tls.key --access-log access.log`;
    chmodSync(cli.path('tls.key'), 0o644);
    expect((await cli.run(command)).err).toContain('KEY_EXPOSED');
    chmodSync(cli.path('tls.key'), 0o600);
    const server = await cli.start(command);
    const status = (maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<number | string> =>
      new Promise((resolve) => {
        const headers = { authorization: `Bearer ${token}` };
        const options = { port, path: '/api/v1/about', ca: readFileSync(cli.path('tls.crt')), headers, maxVersion };
        get({ host: '127.0.0.1', agent: false, ...options }, (response) => {
          response.resume();
          resolve(response.statusCode!);
        }).on('error', ({ message }) => resolve(message));
      });
    expect(await status('TLSv1.3')).toBe(200);
    expect(await status('TLSv1.2')).toMatch(/version/);
    expect((await cli.run('score token revoke anna --tokens tokens.json')).out).toBe('anna: revoked\n');
    await expect.poll(() => status('TLSv1.3'), { timeout: 10_000 }).toBe(401);
    const { code, err } = await server.stop();
    expect([code, err]).toEqual([0, expect.stringContaining('"event":"listening"')]);
    expect(readFileSync(cli.path('access.log'), 'utf8')).toContain('"seller":"anna"');
  });

  it('does not listen to a network in the clear', async () => {
    const serve = `${inputs.replace('score', 'score serve')} --tokens tokens.json --listen 0.0.0.0:0`;
    expect((await cli.run(serve)).err).toContain('INSECURE_LISTEN');
  });
});
