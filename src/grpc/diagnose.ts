import { connect as tcpConnect } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { type Expected, pinCheck, secureContextOptions, type TlsIdentity } from '../tls/context.ts';
import { TlsError } from '../tls/errors.ts';
import { expiryOf } from '../tls/expiry.ts';
import { serverName } from './credentials.ts';
import { TransportError } from './errors.ts';

const TIMEOUT_MS = 5_000;

/** Where a server is, whom the client expects there, and what it shows. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly tls: TlsIdentity;
  readonly expected: Expected;
}

/**
 * Finds out why no connection comes about. grpc-js gives one text for everything, and with TLS 1.3 a client learns only
 * after its own handshake that the server does not want it; so this connects once more by itself and looks.
 *
 * A server that completes the handshake and then closes without a byte of HTTP/2 has refused our certificate. A cut
 * line can look the same once, so that verdict takes two.
 *
 * @returns UNREACHABLE when a connection may work later; a final refusal otherwise.
 */
export async function diagnose(endpoint: Endpoint): Promise<TransportError> {
  const first = await attempt(endpoint);
  return first.code === 'CERTIFICATE_REFUSED' ? attempt(endpoint) : first;
}

function attempt({ host, port, tls, expected }: Endpoint): Promise<TransportError> {
  return new Promise((resolve) => {
    let isSecure = false;
    let refusal: TlsError | null = null;
    const tcp = tcpConnect(port, host);
    const socket = tlsConnect({
      ...secureContextOptions(tls),
      socket: tcp,
      servername: serverName(host),
      ALPNProtocols: ['h2'],
      checkServerIdentity: pinCheck(expected, (result) => {
        if (result instanceof TlsError) refusal = result;
      }),
    });
    const conclude = (error: TransportError): void => {
      clearTimeout(timer);
      socket.destroy();
      tcp.destroy();
      resolve(error);
    };
    const unreachable = (cause?: unknown): TransportError =>
      new TransportError('UNREACHABLE', 'no connection to the party', { cause });
    const timer = setTimeout(() => conclude(unreachable()), TIMEOUT_MS);
    socket.on('secureConnect', () => {
      isSecure = true;
    });
    // The server's SETTINGS: it accepted us after all.
    socket.on('data', () => conclude(unreachable()));
    socket.on('error', (error: NodeJS.ErrnoException) =>
      conclude(
        refusal === null
          ? named(error, isSecure, tls)
          : new TransportError('PIN_MISMATCH', refusal.message, { cause: error }),
      ),
    );
    socket.on('close', () => conclude(isSecure ? refused(tls) : unreachable()));
    tcp.on('error', (error) => conclude(unreachable(error)));
  });
}

/** Why a server does not want us: our own clock and certificate may tell. */
function refused({ certificates }: TlsIdentity): TransportError {
  if (certificates !== '' && Date.now() > expiryOf(certificates))
    return new TransportError('CERTIFICATE_EXPIRED', 'our own certificate has expired: the founders renew it');
  return new TransportError(
    'CERTIFICATE_REFUSED',
    'the server does not accept our certificate: other authority, or not valid by its clock',
  );
}

/** Codes of node:tls, which takes them from OpenSSL: alerts of the server, or our own verdict on its chain. */
function named(error: NodeJS.ErrnoException, isSecure: boolean, tls: TlsIdentity): TransportError {
  const code = error.code ?? '';
  const options = { cause: error };
  if (code === 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED') {
    return new TransportError('CERTIFICATE_REQUIRED', 'the server wants a client certificate', options);
  }
  if (/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_PROTOCOLS|WRONG_VERSION/.test(code)) {
    return new TransportError('TLS_VERSION', 'the server and this party have no TLS version in common', options);
  }
  if (/ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_|UNSUPPORTED_CERT)/.test(code)) return refused(tls);
  if (code === 'CERT_HAS_EXPIRED') {
    return new TransportError(
      'CERTIFICATE_EXPIRED',
      "the server's certificate has expired: the founders renew it",
      options,
    );
  }
  if (/CERT|VERIFY|ISSUER|HOSTNAME/.test(code)) {
    return new TransportError(
      'UNTRUSTED_SERVER',
      "the server's certificate is not of an accepted authority, or not valid now",
      options,
    );
  }
  if (isSecure && code === 'ECONNRESET') return refused(tls);
  return new TransportError('UNREACHABLE', 'no connection to the party', options);
}
