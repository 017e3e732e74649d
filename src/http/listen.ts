import { createServer, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

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

/** PEM texts of a certificate, with its chain, and its key. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

/**
 * Serves until disposed. Plain HTTP where no certificate is given: for what is public and signed, or where TLS ends in
 * front of it. Slow and idle connections are cut.
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
): Promise<ListeningHttp> {
  const timeouts = { headersTimeout: 10_000, requestTimeout: 15_000, keepAliveTimeout: 5_000 };
  const options = { ...timeouts, connectionsCheckingInterval: 2_000 };
  const server =
    certificate === null
      ? createServer(options, readableTargets(app))
      : createTlsServer({ ...options, ...certificate, minVersion: 'TLSv1.3' }, readableTargets(app));
  server.maxHeadersCount = 64;
  server.maxConnections = 1024;
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
