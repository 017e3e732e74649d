import { channel } from 'node:diagnostics_channel';
import { isIPv6, type Socket } from 'node:net';
import type { PeerIdentity } from '../tls/identity.ts';

/** How many connections one server holds, how many of them one address, and for how many of one key it keeps their places. */
export interface ConnectionLimits {
  readonly total: number;
  readonly perAddress: number;
  readonly perParty: number;
}

interface Held {
  readonly socket: Socket;
  readonly source: string;
  /** Whose place it is; null for those that give way. */
  peer: PeerIdentity | null;
}

/**
 * Bounds the connections of a server. One whose last call was let in keeps its place, as long as its party is not barred and has not
 * more of them; of the others, strangers most of them, the one that waits longest gives way. So strangers take no place from
 * parties, however many they are, nor does one party from the others, and a party that connects gets a place as long as not all
 * are kept.
 */
export class ConnectionBound {
  readonly #limits: ConnectionLimits;
  /** By remote end, in the order of their coming. */
  readonly #held = new Map<string, Held>();
  readonly #bySource = new Map<string, number>();
  /** By TLS key: those that keep their places, the one that called last at the end. */
  readonly #byParty = new Map<string, Set<Held>>();

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  /** A connection has come. It is destroyed where there is no place for it. */
  take(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined) return void socket.destroy(); // it is gone already
    const source = sourceOf(remoteAddress);
    const inSource = this.#bySource.get(source) ?? 0;
    const isFull = inSource >= this.#limits.perAddress || this.#held.size >= this.#limits.total;
    if (isFull && !this.#makeRoom(inSource >= this.#limits.perAddress ? source : null)) return void socket.destroy();
    const end = `${remoteAddress}:${remotePort}`;
    const held: Held = { socket, source, peer: null };
    this.#held.set(end, held);
    this.#bySource.set(source, (this.#bySource.get(source) ?? 0) + 1);
    socket.once('close', () => this.#forget(end, held));
  }

  /**
   * A call has come over a connection.
   *
   * @param end - `address:port` of its remote end. @param peer - who makes it; null where it is not let in.
   */
  called(end: string, peer: PeerIdentity | null): void {
    const held = this.#held.get(end);
    if (held === undefined) return;
    this.#giveUp(held);
    if (peer === null) return;
    const own = this.#byParty.get(peer.spkiSha256) ?? new Set();
    this.#byParty.set(peer.spkiSha256, own);
    held.peer = peer;
    own.add(held);
    if (own.size <= this.#limits.perParty) return;
    const [first] = own;
    this.#giveUp(first!);
  }

  /** Those of barred parties give way from here on, also if they call no more. */
  recheck(isBarred: (peer: PeerIdentity) => boolean): void {
    for (const held of this.#held.values()) if (held.peer !== null && isBarred(held.peer)) this.#giveUp(held);
  }

  #giveUp(held: Held): void {
    if (held.peer === null) return;
    const key = held.peer.spkiSha256;
    const own = this.#byParty.get(key)!;
    own.delete(held);
    if (own.size === 0) this.#byParty.delete(key);
    held.peer = null;
  }

  /** Cuts what gives way and waits longest: of one source, or of the one with most connections. */
  #makeRoom(source: string | null): boolean {
    let found: [string, Held] | null = null;
    let most = 0;
    for (const entry of this.#held) {
      const [, held] = entry;
      const count = this.#bySource.get(held.source)!;
      if (held.peer !== null || (source === null ? count <= most : held.source !== source)) continue;
      [found, most] = [entry, count];
      if (source !== null) break;
    }
    if (found === null) return false;
    this.#forget(...found);
    found[1].socket.destroy();
    return true;
  }

  #forget(end: string, held: Held): void {
    if (this.#held.get(end) !== held) return; // it has given way before
    this.#giveUp(held);
    this.#held.delete(end);
    const left = (this.#bySource.get(held.source) ?? 1) - 1;
    if (left === 0) this.#bySource.delete(held.source);
    else this.#bySource.set(held.source, left);
  }
}

/** Whose connection it is: an IPv4 address, or an IPv6 network of 64 bits, of which one customer has all addresses. */
function sourceOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=[0-9.]+$)/i, '');
  if (!isIPv6(plain)) return plain;
  const [head, tail] = plain.replace(/%.*$/, '').split('::') as [string, string | undefined];
  const groups = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: tail === undefined ? 0 : 8 - groups.length - after.length }, () => '0');
  return [...groups, ...zeros, ...after].slice(0, 4).join(':');
}

const bounds = new Map<number, ConnectionBound>();
let isListening = false;

/**
 * Bounds the connections to a port of this process from here on. grpc-js shows neither its sockets nor the server that takes
 * them; a channel of Node does. @returns ends it.
 */
export function boundConnections(port: number, bound: ConnectionBound): () => void {
  if (!isListening) {
    isListening = true;
    channel('net.server.socket').subscribe((message) => {
      const { socket } = message as { socket: Socket };
      bounds.get(socket.localPort ?? -1)?.take(socket);
    });
  }
  bounds.set(port, bound);
  return () => {
    if (bounds.get(port) === bound) bounds.delete(port);
  };
}
