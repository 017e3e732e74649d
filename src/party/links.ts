import { unwatchFile, watchFile } from 'node:fs';
import { join } from 'node:path';
import type { Transcript } from '../../protocols/transcript.ts';
import { type Endpoint, type Federation, readFederation, withPins } from '../config/federation.ts';
import { writeDurably } from '../config/files.ts';
import { Connection } from '../grpc/connection.ts';
import type { RunningServer } from '../grpc/server.ts';
import { FOLDER } from '../keys/party-folder.ts';
import type { TlsIdentity } from '../tls/context.ts';
import { expiryOf } from '../tls/expiry.ts';
import { loadTlsIdentity } from '../tls/files.ts';
import type { TlsRole } from '../tls/identity.ts';
import type { Say } from './events.ts';

/** How often a party looks whether its certificate's file has changed, in ms. */
const LOOK_MS = 1000;
/** How long a connection that is being made, or looked into, may still need the key before, in ms. */
const LAST_USE_MS = 30_000;

/**
 * A party's lines to others: the certificate that it shows on all of them, and the keys that it knows the others by. Both change
 * while it runs: its own when 'veilsum keys join' puts another certificate into its folder, the others' by leaves of the log.
 */
export class Links {
  readonly #folder: string;
  readonly #say: Say;
  readonly #connections = new Map<Connection, string>();
  /** Pins by name: of everybody whom the federation file names, since it may be handed on. */
  readonly #pins: Map<string, string>;
  #tls: TlsIdentity;
  #server: RunningServer | null = null;

  /** @param folder - the party's. @param tls - taken over: its key is wiped soon after another one has taken its place. */
  constructor(folder: string, federation: Federation, tls: TlsIdentity, say: Say) {
    const { coordinator, aggregators, members } = federation;
    this.#folder = folder;
    this.#pins = new Map([coordinator, ...aggregators, ...members].map((e) => [e.name, e.tlsKeySha256]));
    this.#tls = tls;
    this.#say = say;
  }

  /** What the party shows now. */
  get tls(): TlsIdentity {
    return this.#tls;
  }

  connect({ name, address, tlsKeySha256 }: Endpoint, role: TlsRole): Connection {
    const made = new Connection({ address, tls: this.#tls, expected: { pins: [tlsKeySha256], role } });
    this.#connections.set(made, name);
    return made;
  }

  /**
   * Takes the certificate in the folder whenever it changes, for this server and every connection. A file that is only half
   * written, or not of the folder's key, changes nothing: it is looked at again. @returns ends it.
   */
  watch(server: RunningServer): () => void {
    this.#server = server;
    const file = join(this.#folder, FOLDER.tls, 'tls.crt');
    const look = (): void => void this.reload();
    watchFile(file, { interval: LOOK_MS, persistent: false }, look);
    return () => unwatchFile(file, look);
  }

  /** Takes what is in the folder now. */
  async reload(): Promise<void> {
    let fresh: TlsIdentity;
    try {
      fresh = await loadTlsIdentity(join(this.#folder, FOLDER.tls));
      if (fresh.certificates === this.#tls.certificates) return fresh.key.wipe();
      this.#server?.renew(fresh);
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      return this.#say('certificate not taken', { code: code ?? '', error: message });
    }
    for (const connection of this.#connections.keys()) connection.show(fresh);
    const { key } = this.#tls;
    setTimeout(() => key.wipe(), LAST_USE_MS).unref();
    this.#tls = fresh;
    this.#say('certificate taken', { until: new Date(expiryOf(fresh.certificates)).toISOString() });
  }

  /**
   * Knows the others by the keys that the log has for them. A pin that the log does not know yet is newer than what was read of
   * it, and stays: so an older head never brings a key back that was replaced. What is learnt is kept for the next start.
   *
   * @param t - leaves under a cosigned head.
   */
  follow(t: Transcript): void {
    const learnt = new Map<string, string>();
    for (const [name, known] of this.#pins) {
      const pin = t.parties.get(name)?.tlsKeySha256;
      if (pin !== undefined && pin !== known && t.keys.has(known)) learnt.set(name, pin);
    }
    if (learnt.size === 0) return;
    for (const [name, pin] of learnt) this.#pins.set(name, pin);
    for (const [connection, name] of this.#connections) {
      const pin = learnt.get(name);
      if (pin !== undefined) connection.repin([pin]);
    }
    try {
      const file = join(this.#folder, FOLDER.federation);
      writeDurably(file, `${JSON.stringify(withPins(readFederation(file), learnt), null, 2)}\n`);
    } catch (error) {
      this.#say('key not kept', { error: (error as Error).message }); // known until the next start
    }
    for (const name of learnt.keys()) this.#say('key replaced', { party: name });
  }
}
