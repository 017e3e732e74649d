/** Bounds of the transport. A peer that exceeds one gets a named refusal; none can be raised by a peer. */

/** Largest chunk of a payload, a sum or a model, in bytes. */
export const CHUNK_BYTES = 1 << 20;
/** Shorter chunks than this, in bytes, only end a stream: each of them costs a durable write. */
export const SHORT_CHUNK_BYTES = 4 << 10;
/** Largest message either way, in bytes: a chunk and what surrounds it. */
export const MAX_MESSAGE_BYTES = 2 << 20;
/**
 * HTTP/2 flow control window of a stream and of a connection, in bytes. Node's default of 64 KiB allows one window per
 * round trip, 0.8 MB/s at 50 ms.
 */
export const WINDOW_BYTES = 8 << 20;
/** Streams that one connection may have open. */
export const MAX_STREAMS = 64;
/** Header fields of one call, pseudo-headers included, and their size in bytes. Ours have a dozen, below 1 KiB. */
export const MAX_HEADERS = 64;
export const MAX_HEADER_BYTES = 16 << 10;
/** Connections that one server holds, and how many of them come from one address: a site's nodes may share one. */
export const MAX_CONNECTIONS = 4096;
export const MAX_CONNECTIONS_PER_ADDRESS = 1024;
/** Connections of one certificate's key that keep their places when the server is full. A process of ours needs one or two. */
export const MAX_CONNECTIONS_PER_PARTY = 16;
/** Calls that one certificate may have running on one server. */
export const MAX_CALLS_PER_PEER = 64;
/** Longest a unary call may take, in ms, whatever deadline its caller set. */
export const UNARY_MS = 120_000;
/** The same for the call that adds up a round: a replica reads every payload of it once. */
export const SUM_MS = 600_000;
/** Longest a stream may wait for the other side's next message or for room to write, in ms. */
export const IDLE_MS = 60_000;
/** How long a caller that was answered may go on with its request, in ms: then its stream is reset. */
export const ANSWERED_MS = 2_000;
/** Longest a TLS handshake may take, in ms. */
export const HANDSHAKE_MS = 10_000;
/** A connection without calls is closed after this, in ms; its client opens another one when it needs it. */
export const UNUSED_MS = 600_000;
/** A connection with calls is asked for a sign of life after this, in ms, ... */
export const KEEPALIVE_MS = 20_000;
/** ... and given up when none comes within this, in ms. */
export const KEEPALIVE_TIMEOUT_MS = 10_000;
