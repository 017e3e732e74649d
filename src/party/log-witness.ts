import { existsSync } from 'node:fs';
import { fromUtf8 } from '../../crypto/encoding.ts';
import { formatVkey, makeSigner, type Verifier } from '../../crypto/note.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { readKeyFile, writeKeyFile } from '../config/files.ts';
import { listenHttp } from '../http/listen.ts';
import { createWitnessApp } from '../http/witness-app.ts';
import { LogWitness } from '../log/log-witness.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';
import { openStore } from '../store/open-store.ts';
import { type Say, sayTo } from './events.ts';
import type { Running } from './running.ts';

export interface LogWitnessSetting {
  readonly host: string;
  /** 0 for any free one. */
  readonly port: number;
  /** Name of its key in notes, such as `witness.example/w1`. */
  readonly name: string;
  /** 32 secret bytes, mode 0600. The key signs nothing but heads of these logs. */
  readonly keyFile: string;
  /** Its store. Never to be restored from a backup: a witness that forgets can cosign two histories. */
  readonly stateFolder: string;
  /** Keys of the logs; the name of each is its log's origin. */
  readonly logs: readonly Verifier[];
}

/** Makes a witness's key where there is none. @returns whether it did. */
export function makeWitnessKey(path: string): boolean {
  if (existsSync(path)) return false;
  using fresh = new SecretBytes('witness key', systemRng(32));
  writeKeyFile(path, fresh);
  return true;
}

/** What policies name a witness by. @throws ConfigError as `readKeyFile` */
export function witnessVkey(name: string, keyFile: string): string {
  using seed = readKeyFile(keyFile, 'witness key');
  return formatVkey(makeSigner(nodePrimitives, 'cosignature', name, seed).verifier);
}

/** Runs a C2SP tlog-witness for anybody's logs. It needs no card, no certificate and no federation. */
export async function runLogWitness(setting: LogWitnessSetting): Promise<Running> {
  const seed = readKeyFile(setting.keyFile, 'witness key');
  const signer = makeSigner(nodePrimitives, 'cosignature', setting.name, seed);
  const say: Say = sayTo(setting.name, (line) => process.stderr.write(line));
  const store = await openStore(setting.stateFolder);
  try {
    const witness = new LogWitness({
      primitives: nodePrimitives,
      records: store.records,
      signer,
      logs: setting.logs,
      now: () => Math.floor(Date.now() / 1000),
      onSplitView: (held, offered) => say('split view', { held: fromUtf8(held), offered: fromUtf8(offered) }),
    });
    const onFault = (error: unknown): void => say('fault', { error: (error as Error).message });
    const server = await listenHttp(createWitnessApp({ witness, onFault }), setting.host, setting.port);
    say('listening', { address: server.url, logs: setting.logs.length, pid: process.pid });
    return {
      address: server.url,
      stop: async () => {
        await server[Symbol.asyncDispose]();
        await store[Symbol.asyncDispose]();
        seed.wipe();
      },
    };
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}
