import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { ConnectionBound } from '../grpc/connection-bound.ts';

export interface ListeningHttp extends AsyncDisposable {
  /** `http://host:port`, or `https://`. */
  readonly url: string;
  readonly port: number;
}

/**
 * Answers requests whose target no router can read (neither a path nor a URL) before Express would, which has a page of
 * its own for them.
 */
export function readableTargets(app: RequestListener): RequestListener {
  return (request, response) => {
    const target = request.url ?? '';
    if (target.startsWith('/') || URL.canParse(target)) return app(request, response);
    response.writeHead(400, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' });
    response.end('the request target is neither a path nor a URL\n');
  };
}

/** What strangers may hold of a server. */
export interface HttpLimits {
  /** Connections in all. When there are so many, the oldest of the address that has most gives way. */
  readonly connections: number;
  /** Longest that a connection may neither send nor take a byte, in ms. */
  readonly silentMs: number;
}

const LIMITS: HttpLimits = { connections: 1024, silentMs: 30_000 };

/** PEM texts of a certificate, with its chain, and its key. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * Serves until disposed. Plain HTTP where no certificate is given: for what is public and signed, or where TLS ends in
 * front of it. Connections are cut that are slow with their request, idle, or do not read what they asked for.
 *
 * @param port - 0 for any free one.
 * @param certificate - with it, TLS 1.3 only.
 * @throws the system's error when the address cannot be had (EADDRINUSE, EACCES), OpenSSL's for a certificate.
 */
export async function listenHttp(
  app: RequestListener,
  host: string,
  port: number,
  certificate: ServerCertificate | null = null,
  { connections, silentMs }: HttpLimits = LIMITS,
): Promise<ListeningHttp> {
  const timeouts = { headersTimeout: 10_000, requestTimeout: 15_000, keepAliveTimeout: 5_000 };
  const options = { ...timeouts, connectionsCheckingInterval: 2_000 };
  const server =
    certificate === null
      ? createServer(options, readableTargets(app))
      : createTlsServer({ ...options, ...certificate, minVersion: 'TLSv1.3' }, readableTargets(app));
  server.maxHeadersCount = 64;
  server.setTimeout(silentMs);
  // No address counts as one's own: behind a proxy, all come from one.
  const bound = new ConnectionBound({ total: connections, perAddress: connections, perParty: 0 });
  server.on('connection', (socket) => bound.take(socket));
  server.maxConnections = 2 * connections; // those that are being cut are still open for a moment
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  const address = server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    url: `${certificate === null ? 'http' : 'https'}://${name}:${address.port}`,
    port: address.port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
