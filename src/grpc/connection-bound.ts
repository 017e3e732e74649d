import { channel } from 'node:diagnostics_channel';
import type { ServerHttp2Stream } from 'node:http2';
import { isIPv6, type Socket } from 'node:net';

/** How many connections one server holds, and how many of them one address. */
export interface ConnectionLimits {
  readonly total: number;
  readonly perAddress: number;
}

interface Held {
  readonly socket: Socket;
  readonly source: string;
}

/**
 * Bounds the connections of a server. One that has made a call has shown a certificate and is never cut for another one; of the
 * others, who are strangers so far, the one that waits longest gives way. So strangers take no place from parties, however many
 * they are, and a party that connects gets a place as long as not all are parties'.
 */
export class ConnectionBound {
  readonly #limits: ConnectionLimits;
  /** By remote end, in the order of their coming; strangers and those that have made a call. */
  readonly #strangers = new Map<string, Held>();
  readonly #parties = new Map<string, Held>();
  readonly #bySource = new Map<string, number>();

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#strangers.size + this.#parties.size;
  }

  /** A connection has come. It is destroyed where there is no place for it. */
  take(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    if (remoteAddress === undefined) return void socket.destroy(); // it is gone already
    const source = sourceOf(remoteAddress);
    const inSource = this.#bySource.get(source) ?? 0;
    const isFull = inSource >= this.#limits.perAddress || this.size >= this.#limits.total;
    if (isFull && !this.#makeRoom(inSource >= this.#limits.perAddress ? source : null)) return void socket.destroy();
    const end = endOf(remoteAddress, remotePort);
    const held = { socket, source };
    this.#strangers.set(end, held);
    this.#bySource.set(source, (this.#bySource.get(source) ?? 0) + 1);
    socket.once('close', () => this.#forget(end, held));
  }

  /** A call has come over a connection: TLS has verified its certificate. */
  admit(remoteAddress: string | undefined, remotePort: number | undefined): void {
    const end = endOf(remoteAddress, remotePort);
    const held = this.#strangers.get(end);
    if (held === undefined) return;
    this.#strangers.delete(end);
    this.#parties.set(end, held);
  }

  /** Cuts the stranger that waits longest: of one source, or of the one with most connections. */
  #makeRoom(source: string | null): boolean {
    let found: [string, Held] | null = null;
    let most = 0;
    for (const entry of this.#strangers) {
      const count = this.#bySource.get(entry[1].source)!;
      if (source === null ? count <= most : entry[1].source !== source) continue;
      [found, most] = [entry, count];
      if (source !== null) break;
    }
    if (found === null) return false;
    this.#forget(...found);
    found[1].socket.destroy();
    return true;
  }

  #forget(end: string, held: Held): void {
    const ends = [this.#strangers, this.#parties].find((map) => map.get(end) === held);
    if (ends === undefined) return; // it has given way before
    ends.delete(end);
    const left = (this.#bySource.get(held.source) ?? 1) - 1;
    if (left === 0) this.#bySource.delete(held.source);
    else this.#bySource.set(held.source, left);
  }
}

const endOf = (address: string | undefined, port: number | undefined): string => `${address} ${port}`;

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
 * them; the channels of Node do. @returns ends it.
 */
export function boundConnections(port: number, limits: ConnectionLimits): () => void {
  if (!isListening) {
    isListening = true;
    channel('net.server.socket').subscribe((message) => {
      const { socket } = message as { socket: Socket };
      bounds.get(socket.localPort ?? -1)?.take(socket);
    });
    channel('http2.server.stream.created').subscribe((message) => {
      const socket = (message as { stream: ServerHttp2Stream }).stream.session?.socket;
      bounds.get(socket?.localPort ?? -1)?.admit(socket?.remoteAddress, socket?.remotePort);
    });
  }
  const bound = new ConnectionBound(limits);
  bounds.set(port, bound);
  return () => {
    if (bounds.get(port) === bound) bounds.delete(port);
  };
}
