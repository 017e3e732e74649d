import { channel } from 'node:diagnostics_channel';
import { constants, type Http2Session, type ServerHttp2Stream } from 'node:http2';
import { isIP } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { ChannelCredentials, type ChannelOptions, ServerCredentials } from '@grpc/grpc-js';
import { type Expected, pinCheck, secureContextOptions, type TlsIdentity } from '../tls/context.ts';
import { TlsError } from '../tls/errors.ts';
import type { PeerIdentity } from '../tls/identity.ts';
import {
  ANSWERED_MS,
  HANDSHAKE_MS,
  KEEPALIVE_MS,
  KEEPALIVE_TIMEOUT_MS,
  MAX_HEADER_BYTES,
  MAX_HEADERS,
  MAX_MESSAGE_BYTES,
  MAX_STREAMS,
  UNUSED_MS,
  WINDOW_BYTES,
} from './limits.ts';

/**
 * Mutual TLS 1.3 for a server. grpc-js's own `createSsl` can set neither a lowest version nor a window, so this
 * subclass hands it the options of node:http2 directly.
 */
export class MutualTlsCredentials extends ServerCredentials {
  constructor(identity: TlsIdentity) {
    const options = {
      requestCert: true,
      rejectUnauthorized: true,
      handshakeTimeout: HANDSHAKE_MS,
      maxHeaderListPairs: MAX_HEADERS,
      settings: {
        initialWindowSize: WINDOW_BYTES,
        maxConcurrentStreams: MAX_STREAMS,
        maxHeaderListSize: MAX_HEADER_BYTES,
      },
    };
    super(options, secureContextOptions(identity));
  }

  /** What connections from here on are made with. Those that are open stay as they are. */
  renew(identity: TlsIdentity): void {
    this.updateSecureContextOptions(secureContextOptions(identity));
  }

  _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}

export const SERVER_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
  'grpc.keepalive_time_ms': KEEPALIVE_MS,
  'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
  'grpc.max_connection_idle_ms': UNUSED_MS,
  'grpc.enable_channelz': 0,
};

let isWidening = false;
const widened = new WeakSet<Http2Session>();

/**
 * The window of a whole connection is no setting: it has to be raised on the session, which grpc-js does not show. The
 * first stream of a session does. Once per process.
 */
export function widenServerSessions(): void {
  if (isWidening) return;
  isWidening = true;
  channel('http2.server.stream.created').subscribe((message) => {
    const { stream } = message as { stream: ServerHttp2Stream };
    resetOnceAnswered(stream);
    const { session } = stream;
    if (session === undefined || widened.has(session)) return;
    widened.add(session);
    session.setLocalWindowSize(WINDOW_BYTES);
    readCertificateOnce(session.socket);
  });
}

/**
 * grpc-js asks for the other end's certificate at every call, and reading it takes as long as verifying a signature. In TLS
 * 1.3 a connection's certificate cannot change: nothing is renegotiated, and we ask for none after the handshake.
 */
function readCertificateOnce(socket: Http2Session['socket']): void {
  if (!(socket instanceof TLSSocket)) return;
  const certificate = socket.getPeerCertificate();
  socket.getPeerCertificate = (() => certificate) as TLSSocket['getPeerCertificate'];
}

/** A caller that has its answer and does not end its request would keep stream and buffers for ever (RFC 9113, 8.1). */
function resetOnceAnswered(stream: ServerHttp2Stream): void {
  stream.once('finish', () => {
    if (stream.readableEnded || stream.closed) return;
    const timer = setTimeout(() => stream.close(constants.NGHTTP2_NO_ERROR), ANSWERED_MS);
    timer.unref();
    stream.once('close', () => clearTimeout(timer));
  });
}

/** What a client's TLS found out last, since grpc-js passes on a text only. */
export interface ServerVerdict {
  peer: PeerIdentity | null;
  refusal: TlsError | null;
}

/** Credentials of a client, and where their verdict on the server is left. @throws TlsError NO_PIN */
export function clientCredentials(identity: TlsIdentity, expected: Expected): [ChannelCredentials, ServerVerdict] {
  const verdict: ServerVerdict = { peer: null, refusal: null };
  const checkServerIdentity = pinCheck(expected, (result) => {
    verdict.peer = result instanceof TlsError ? null : result;
    verdict.refusal = result instanceof TlsError ? result : null;
  });
  const context = createSecureContext(secureContextOptions(identity));
  return [ChannelCredentials.createFromSecureContext(context, { checkServerIdentity }), verdict];
}

/** Node refuses an IP address as a TLS server name. Names do not count here, pins do. */
export function serverName(host: string): string {
  return isIP(host) === 0 ? host : 'localhost';
}

/** @param host - of the server. */
export function clientOptions(host: string): ChannelOptions {
  return {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    'grpc-node.flow_control_window': WINDOW_BYTES,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 5_000,
    'grpc.ssl_target_name_override': serverName(host),
    // Our own retries know which refusals are final; a shared pool would mix connections with different pins.
    'grpc.enable_retries': 0,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_channelz': 0,
    // A proxy of the environment must not reroute loopback without anybody's asking.
    'grpc.enable_http_proxy': 0,
  };
}
