import { once } from 'node:events';
import { Client, type ClientDuplexStream, Metadata, type ServiceError, status as Status } from '@grpc/grpc-js';
import type { Expected, TlsIdentity } from '../tls/context.ts';
import { clientCredentials, clientOptions, type ServerVerdict } from './credentials.ts';
import { diagnose, type Endpoint } from './diagnose.ts';
import { type StatusName, TransportError } from './errors.ts';
import { inTime } from './in-time.ts';
import { IDLE_MS } from './limits.ts';
import { type RetryOptions, retrying } from './retry.ts';
import type { DuplexMethod, ServerStreamMethod, UnaryMethod } from './services.ts';
import { CODE_METADATA } from './status.ts';

export interface ConnectionOptions {
  /** `host:port`. */
  readonly address: string;
  readonly tls: TlsIdentity;
  /** Whom to find there. */
  readonly expected: Expected;
}

/** A two-way stream: write, then read, each when it suits. */
export interface Duplex<Q, S> {
  /** Resolves when there is room for the next message. @throws TransportError CONNECTION_LOST */
  write(message: Q): Promise<void>;
  /** No more messages from this side. */
  finish(): void;
  /** The next message, null at the end. @throws TransportError, IDLE when none comes in time. */
  read(): Promise<S | null>;
  cancel(): void;
}

/** A pinned connection to one party. It reconnects by itself; each call says by name why it failed. */
export class Connection {
  readonly address: string;
  #client: Client;
  #endpoint: Endpoint;
  #verdict: ServerVerdict;
  /** Cancels what runs, each its own call. */
  readonly #running = new Set<() => void>();

  /** Connects at the first call. @throws TlsError NO_PIN */
  constructor({ address, tls, expected }: ConnectionOptions) {
    const { host, port } = splitAddress(address);
    this.address = address;
    this.#endpoint = { host, port, tls, expected };
    [this.#client, this.#verdict] = clientOf(address, this.#endpoint);
  }

  /** Shows another certificate from the next call on; calls that run go on. */
  show(tls: TlsIdentity): void {
    this.#reopen({ ...this.#endpoint, tls });
  }

  /** Expects another key of the server, at once: calls that run are cut, since they run over the key that it has given up. */
  repin(pins: readonly string[]): void {
    this.#reopen({ ...this.#endpoint, expected: { ...this.#endpoint.expected, pins } });
    for (const cancel of [...this.#running]) cancel();
  }

  #reopen(endpoint: Endpoint): void {
    const old = this.#client;
    this.#endpoint = endpoint;
    [this.#client, this.#verdict] = clientOf(this.address, endpoint);
    old.close();
  }

  /** One request, one response, repeated while the party cannot be reached and time is left. */
  call<Q, S>(method: UnaryMethod<Q, S>, request: Q, options: RetryOptions = {}): Promise<S> {
    return retrying(options, (leftMs) => this.callOnce(method, request, leftMs, options.signal));
  }

  /** One attempt. @param timeoutMs - of this attempt. @throws TransportError */
  async callOnce<Q, S>(method: UnaryMethod<Q, S>, request: Q, timeoutMs: number, signal?: AbortSignal): Promise<S> {
    const { requestSerialize, responseDeserialize } = method;
    let stop = (): void => {};
    try {
      return await new Promise<S>((resolve, reject) => {
        if (signal?.aborted) return reject(new TransportError('CANCELLED', 'the caller gave up'));
        const deadline = Date.now() + timeoutMs;
        const done = (error: ServiceError | null, response?: S): void =>
          error ? reject(error) : resolve(response as S);
        const call = this.#client.makeUnaryRequest(
          method.path,
          requestSerialize,
          responseDeserialize,
          request,
          new Metadata(),
          { deadline },
          done,
        );
        stop = () => call.cancel();
        signal?.addEventListener('abort', stop, { once: true });
        this.#running.add(stop);
      });
    } catch (error) {
      throw await this.#explain(error, signal);
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#running.delete(stop);
    }
  }

  /** The responses of one request. Ending the loop ends the call. One attempt; `idleMs` null waits for ever. */
  async *stream<Q, S>(
    method: ServerStreamMethod<Q, S>,
    request: Q,
    options: { signal?: AbortSignal; idleMs?: number | null } = {},
  ): AsyncGenerator<S> {
    const { requestSerialize, responseDeserialize } = method;
    const call = this.#client.makeServerStreamRequest(method.path, requestSerialize, responseDeserialize, request);
    call.on('error', () => {}); // told by the iterator; a late one must not end the process
    const stop = (): void => call.cancel();
    options.signal?.addEventListener('abort', stop, { once: true });
    this.#running.add(stop);
    if (options.signal?.aborted) stop();
    const iterator = call[Symbol.asyncIterator]() as AsyncIterator<S>;
    const idleMs = options.idleMs === undefined ? IDLE_MS : options.idleMs;
    try {
      while (true) {
        const next = await inTime(idleMs, 'IDLE', iterator.next());
        if (next.done) return;
        yield next.value;
      }
    } catch (error) {
      throw await this.#explain(error, options.signal);
    } finally {
      options.signal?.removeEventListener('abort', stop);
      this.#running.delete(stop);
      call.cancel();
    }
  }

  /** Opens a two-way stream. One attempt. */
  duplex<Q, S>(method: DuplexMethod<Q, S>, idleMs = IDLE_MS): Duplex<Q, S> {
    const { requestSerialize, responseDeserialize } = method;
    const call: ClientDuplexStream<Q, S> = this.#client.makeBidiStreamRequest(
      method.path,
      requestSerialize,
      responseDeserialize,
    );
    call.on('error', () => {});
    const cancel = (): void => call.cancel();
    this.#running.add(cancel);
    call.once('status', () => this.#running.delete(cancel));
    const iterator = call[Symbol.asyncIterator]() as AsyncIterator<S>;
    return {
      write: async (message) => {
        if (call.destroyed || call.writableEnded) return; // read() says why
        if (call.write(message)) return;
        // A call that ends while it is full never drains.
        await inTime(idleMs, 'IDLE', Promise.race([once(call, 'drain'), once(call, 'status')])).catch((error) => {
          if (error instanceof TransportError) throw error;
        });
      },
      finish: () => void call.end(),
      read: async () => {
        try {
          const next = await inTime(idleMs, 'IDLE', iterator.next());
          return next.done ? null : next.value;
        } catch (error) {
          throw await this.#explain(error);
        }
      },
      cancel,
    };
  }

  close(): void {
    this.#client.close();
  }

  /** A failure by its name: the peer's code where it gave one, ours otherwise. */
  async #explain(error: unknown, signal?: AbortSignal): Promise<unknown> {
    if (error instanceof TransportError || !isServiceError(error)) return error;
    if (signal?.aborted) return new TransportError('CANCELLED', 'the caller gave up', { cause: error });
    const [code] = error.metadata?.get(CODE_METADATA) ?? [];
    if (typeof code === 'string' && /^[A-Z][A-Z0-9_]{0,63}$/.test(code)) {
      return new TransportError(code, printable(error.details), {
        status: statusName(error.code),
        remote: true,
        cause: error,
      });
    }
    switch (error.code) {
      case Status.DEADLINE_EXCEEDED:
        return new TransportError('DEADLINE', 'no answer in time', { cause: error });
      case Status.RESOURCE_EXHAUSTED:
        return new TransportError('MESSAGE_TOO_LARGE', 'a message is larger than either side takes', { cause: error });
      case Status.UNIMPLEMENTED:
        return new TransportError('NO_SUCH_CALL', 'the party does not offer this call', { cause: error });
      case Status.UNAVAILABLE: {
        if (!error.details.includes('No connection established')) break;
        if (/ECONNREFUSED|ENOTFOUND|EHOSTUNREACH/.test(error.details)) {
          return new TransportError('UNREACHABLE', 'nobody listens there', { cause: error });
        }
        if (this.#verdict.refusal === null) return diagnose(this.#endpoint);
        return new TransportError('PIN_MISMATCH', this.#verdict.refusal.message, { cause: error });
      }
    }
    // Our servers name every error, so anything else comes from the line.
    return new TransportError('CONNECTION_LOST', 'the connection was lost', { cause: error });
  }
}

function clientOf(address: string, { host, tls, expected }: Endpoint): [Client, ServerVerdict] {
  const [credentials, verdict] = clientCredentials(tls, expected);
  return [new Client(address, credentials, clientOptions(host)), verdict];
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'details' in error && 'code' in error && typeof error.code === 'number';
}

function statusName(code: number): StatusName {
  const name = Status[code];
  return name === undefined || name === 'OK' ? 'UNKNOWN' : (name as StatusName);
}

/** A peer's text may end in a terminal: printable ASCII, one line, not endless. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 300);
}

function splitAddress(address: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([^:\s]+)):([0-9]{1,5})$/.exec(address);
  if (match === null) throw new TransportError('UNREACHABLE', 'an address is host:port');
  return { host: (match[1] ?? match[2])!, port: Number(match[3]) };
}
