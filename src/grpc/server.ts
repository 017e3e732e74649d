import { Server } from '@grpc/grpc-js';
import type { TlsIdentity } from '../tls/context.ts';
import type { PeerIdentity } from '../tls/identity.ts';
import { ACCESS, type AccessTable } from './access.ts';
import { boundConnections, ConnectionBound } from './connection-bound.ts';
import { MutualTlsCredentials, SERVER_OPTIONS, widenServerSessions } from './credentials.ts';
import { TransportError } from './errors.ts';
import { Gate, ownIdentity } from './gate.ts';
import type { Implementation } from './handlers.ts';
import { IDLE_MS, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS, MAX_CONNECTIONS_PER_PARTY } from './limits.ts';
import { requestInTime } from './request-in-time.ts';
import { serveMethod } from './serve-call.ts';
import { ERROR_LAYERS, type ErrorLayer } from './status.ts';

export interface ServerOptions {
  /** Interface to listen on, a name or an address. */
  readonly host: string;
  /** TCP port; 0 takes a free one. */
  readonly port: number;
  readonly tls: TlsIdentity;
  readonly services: readonly Implementation[];
  readonly access?: AccessTable;
  /** Error layers besides the known ones: the store's. */
  readonly layers?: readonly ErrorLayer[];
  /** Asked at every call. Nobody is revoked where it is missing. */
  readonly isRevoked?: (peer: PeerIdentity) => boolean;
  /** Asked about who is barred: whether by its own replacement of its TLS key alone. */
  readonly isReplaced?: (peer: PeerIdentity) => boolean;
  /** Told of faults of ours; never of refusals. */
  readonly onFault?: (path: string, error: unknown) => void;
  readonly maxCallsPerPeer?: number;
  readonly maxConnections?: number;
  readonly maxConnectionsPerAddress?: number;
  readonly maxConnectionsPerParty?: number;
  readonly unaryMs?: number;
  readonly idleMs?: number;
}

export interface RunningServer {
  readonly port: number;
  /** `host:port`, as clients want it. */
  readonly address: string;
  readonly identity: PeerIdentity;
  /** Takes another certificate, and key, for connections from here on; those that are open stay. */
  renew(tls: TlsIdentity): void;
  /** Ends the running calls of whoever `isRevoked` bars by now, and keeps no place for him: to be called when the log has grown. */
  recheckCallers(): void;
  /** Refuses new calls, ends streams, waits for running calls, then cuts what is left after `graceMs`. */
  stop(graceMs?: number): Promise<void>;
}

/**
 * Starts a party's gRPC server: mutual TLS 1.3, roles by table, errors by name.
 *
 * @throws TransportError NO_SUCH_CALL when an RPC has no row in the access table or no handler: nothing is served then.
 * @throws TransportError UNREACHABLE when the address cannot be bound.
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const access: AccessTable = options.access ?? ACCESS;
  let identity = ownIdentity(options.tls.certificates);
  const credentials = new MutualTlsCredentials(options.tls);
  const stopping = new AbortController();
  const isRevoked = options.isRevoked ?? (() => false);
  const connections = new ConnectionBound({
    total: options.maxConnections ?? MAX_CONNECTIONS,
    perAddress: options.maxConnectionsPerAddress ?? MAX_CONNECTIONS_PER_ADDRESS,
    perParty: options.maxConnectionsPerParty ?? MAX_CONNECTIONS_PER_PARTY,
  });
  const rules = {
    connections,
    gate: new Gate({
      access,
      ownSpki: () => identity.spkiSha256,
      isRevoked,
      ...(options.isReplaced === undefined ? {} : { isReplaced: options.isReplaced }),
      ...(options.maxCallsPerPeer === undefined ? {} : { maxCallsPerPeer: options.maxCallsPerPeer }),
    }),
    layers: [...ERROR_LAYERS, ...(options.layers ?? [])],
    onFault: options.onFault ?? (() => {}),
    stopping: stopping.signal,
    ...(options.unaryMs === undefined ? {} : { unaryMs: options.unaryMs }),
    ...(options.idleMs === undefined ? {} : { idleMs: options.idleMs }),
  };
  const server = new Server({ ...SERVER_OPTIONS, interceptors: [requestInTime(options.idleMs ?? IDLE_MS)] });
  for (const { service, handlers } of options.services) {
    const entries = Object.entries(service).map(([name, method]) => {
      const handler = handlers[name];
      if (handler === undefined || !Object.hasOwn(access, method.path)) {
        throw new TransportError('NO_SUCH_CALL', `${method.path} has no handler or no row in the access table`);
      }
      return [name, serveMethod(method, handler, rules)] as const;
    });
    server.addService(service, Object.fromEntries(entries));
  }
  widenServerSessions();
  const port = await bind(server, options, credentials);
  const unbound = boundConnections(port, connections);
  return {
    port,
    address: hostPort(options.host, port),
    get identity() {
      return identity;
    },
    renew: (tls) => {
      identity = ownIdentity(tls.certificates);
      credentials.renew(tls);
    },
    recheckCallers: () => {
      rules.gate.recheck();
      connections.recheck(isRevoked);
    },
    stop: (graceMs = 2_000) => {
      unbound();
      stopping.abort();
      return shutDown(server, graceMs);
    },
  };
}

function bind(server: Server, options: ServerOptions, credentials: MutualTlsCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(hostPort(options.host, options.port), credentials, (cause, port) => {
      if (cause) reject(new TransportError('UNREACHABLE', `cannot listen on port ${options.port}`, { cause }));
      else resolve(port);
    });
  });
}

function shutDown(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve(); // tryShutdown says nothing while a peer keeps a connection open that never became a session
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

function hostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
