import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../src/platform/free-port.ts';

/** Whether this machine has a PostgreSQL server of its own to start. */
export const hasPostgresql = ['initdb', 'postgres'].every((name) => spawnSync(name, ['--version']).status === 0);

const isRoot = process.getuid?.() === 0;
/** PostgreSQL refuses to run as root: the user that Debian makes for it does. */
const as = (command: string, args: readonly string[]): [string, string[]] =>
  isRoot ? ['runuser', ['-u', 'postgres', '--', command, ...args]] : [command, [...args]];

const START_MS = 60_000;

/** NAME.key and NAME.crt, for 0.0.0.0: an address that reaches this machine and is not taken for it. */
function certify(name: string): void {
  const subject = ['-subj', '/CN=pg', '-addext', 'subjectAltName=IP:0.0.0.0', '-days', '2'];
  const flags = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', ...subject];
  execFileSync('openssl', [...flags, '-keyout', `${name}.key`, '-out', `${name}.crt`], { stdio: 'ignore' });
}

/** A real server of this machine on loopback and a Unix socket, in a folder of its own, with a password. */
export class PostgresqlServer implements AsyncDisposable {
  readonly folder: string;
  readonly port: number;
  readonly password = 'pw-superuser';
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;

  private constructor(folder: string, port: number, server: ChildProcess) {
    this.folder = folder;
    this.port = port;
    this.#process = server;
    this.#ended = new Promise((resolve) => server.once('exit', resolve));
  }

  static async start(): Promise<PostgresqlServer> {
    // Sockets want short paths.
    const folder = mkdtempSync('/tmp/veilsum-pg-');
    const passwordFile = join(folder, 'password');
    writeFileSync(passwordFile, 'pw-superuser\n');
    for (const name of ['server', 'other']) certify(join(folder, name));
    if (isRoot) {
      const [uid, gid] = ['-u', '-g'].map((flag) => Number(execFileSync('id', [flag, 'postgres']).toString()));
      for (const path of [folder, passwordFile, join(folder, 'server.key')]) chownSync(path, uid!, gid!);
    }
    const database = join(folder, 'db');
    const make = ['-D', database, '-U', 'super', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`, '-E', 'UTF8', '-N'];
    execFileSync(...as('initdb', make), { stdio: 'ignore', cwd: '/' });
    const port = await freePort();
    const settings = [
      'ssl=on',
      `ssl_cert_file=${folder}/server.crt`,
      `ssl_key_file=${folder}/server.key`,
      'fsync=off',
      'listen_addresses=127.0.0.1',
      `unix_socket_directories=${folder}`,
      'logging_collector=off',
    ];
    const flags = ['-D', database, '-p', String(port), ...settings.flatMap((setting) => ['-c', setting])];
    const child = spawn(...as('postgres', flags), { stdio: ['ignore', 'ignore', 'pipe'], cwd: '/' });
    const server = new PostgresqlServer(folder, port, child);
    let text = '';
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`PostgreSQL did not start: ${text}`)), START_MS);
      child.stderr!.on('data', (data: Buffer) => {
        text += data.toString();
        if (!text.includes('ready to accept connections')) return;
        clearTimeout(late);
        resolve();
      });
      void server.#ended.then(() => reject(new Error(`PostgreSQL ended: ${text}`)));
    });
    return server;
  }

  /** Runs statements as the superuser. */
  run(sql: string): void {
    const args = ['-h', '127.0.0.1', '-p', String(this.port), '-U', 'super', '-v', 'ON_ERROR_STOP=1', '-q', 'postgres'];
    execFileSync('psql', args, { input: sql, env: { ...process.env, PGPASSWORD: this.password }, stdio: 'pipe' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // runuser hands the signal on; SIGINT is PostgreSQL's fast shutdown.
    this.#process.kill(isRoot ? 'SIGTERM' : 'SIGINT');
    await this.#ended;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
