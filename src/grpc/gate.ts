import type { ServerUnaryCall } from '@grpc/grpc-js';
import { TlsError } from '../tls/errors.ts';
import { identityOf, type PeerIdentity } from '../tls/identity.ts';
import { type AccessTable, checkAccess } from './access.ts';
import { TransportError } from './errors.ts';
import { MAX_CALLS_PER_PEER } from './limits.ts';

/** What TLS says about the other end. */
export type AuthContext = ReturnType<ServerUnaryCall<unknown, unknown>['getAuthContext']>;

export interface GateOptions {
  readonly access: AccessTable;
  /** Pin of the server itself, which may replace its key while it runs. */
  readonly ownSpki: () => string;
  /** Asked at every call, so that a revocation ends what an open connection may do. */
  readonly isRevoked: (peer: PeerIdentity) => boolean;
  /** Whether such a party is barred only because it has replaced the TLS key that it calls with. */
  readonly isReplaced?: (peer: PeerIdentity) => boolean;
  readonly maxCallsPerPeer?: number;
}

/** A certificate that was read, and the end of its validity in ms since 1970. */
interface Known {
  readonly peer: PeerIdentity;
  readonly until: number;
}

const MAX_REMEMBERED = 4096;

/** Decides about every call before a handler sees it: who calls, may it, has it too many calls running. */
export class Gate {
  readonly #options: GateOptions;
  /** Identities by certificate fingerprint: parsing takes half a millisecond. */
  readonly #known = new Map<string, Known>();
  readonly #running = new Map<string, number>();
  readonly #calls = new Set<Known & { readonly barred: AbortController }>();

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /**
   * @returns the caller, a function to call once when the call ends, and a signal that aborts when the caller is barred
   *   before that.
   * @throws TransportError CERTIFICATE_REQUIRED, CERTIFICATE_EXPIRED, CERTIFICATE_REVOKED,
   *   CERTIFICATE_REPLACED, ROLE_REFUSED, TOO_MANY_CALLS; TlsError
   *   BAD_CERTIFICATE.
   */
  enter(path: string, auth: AuthContext): { peer: PeerIdentity; leave: () => void; barred: AbortSignal } {
    const { peer, until } = this.#identify(auth);
    // TLS looked when the connection was made; connections last.
    if (Date.now() > until) throw expired();
    if (this.#options.isRevoked(peer)) throw this.#barred(peer);
    checkAccess(this.#options.access, path, peer, this.#options.ownSpki());
    const running = this.#running.get(peer.spkiSha256) ?? 0;
    if (running >= (this.#options.maxCallsPerPeer ?? MAX_CALLS_PER_PEER)) {
      throw new TransportError('TOO_MANY_CALLS', 'too many calls of this party are running');
    }
    this.#running.set(peer.spkiSha256, running + 1);
    const call = { peer, until, barred: new AbortController() };
    this.#calls.add(call);
    let left = false;
    const leave = (): void => {
      if (left) return;
      left = true;
      this.#calls.delete(call);
      const now = (this.#running.get(peer.spkiSha256) ?? 1) - 1;
      if (now === 0) this.#running.delete(peer.spkiSha256);
      else this.#running.set(peer.spkiSha256, now);
    };
    return { peer, leave, barred: call.barred.signal };
  }

  /** Asks about everybody whose calls are running: to be called when the answers may have changed. */
  recheck(): void {
    for (const { peer, until, barred } of [...this.#calls]) {
      if (barred.signal.aborted) continue;
      if (this.#options.isRevoked(peer)) barred.abort(this.#barred(peer));
      else if (Date.now() > until) barred.abort(expired());
    }
  }

  #barred(peer: PeerIdentity): TransportError {
    return this.#options.isReplaced?.(peer) === true ? replaced() : revoked();
  }

  #identify(auth: AuthContext): Known {
    const certificate = auth.sslPeerCertificate;
    if (certificate?.raw === undefined)
      throw new TransportError('CERTIFICATE_REQUIRED', 'a client certificate is required');
    const known = this.#known.get(certificate.fingerprint256);
    if (known !== undefined) return known;
    const read = { peer: identityOf(certificate.raw), until: Date.parse(certificate.valid_to) };
    if (this.#known.size >= MAX_REMEMBERED) this.#known.clear();
    this.#known.set(certificate.fingerprint256, read);
    return read;
  }
}

function expired(): TransportError {
  return new TransportError('CERTIFICATE_EXPIRED', "the caller's certificate has expired: the founders renew it");
}

function revoked(): TransportError {
  return new TransportError('CERTIFICATE_REVOKED', 'this party was revoked, or was enrolled with another key');
}

function replaced(): TransportError {
  return new TransportError(
    'CERTIFICATE_REPLACED',
    "this party's TLS key was replaced: 'veilsum keys join' installs the certificate for the new one",
  );
}

/** @throws TlsError BAD_CERTIFICATE when the server's own certificate names no party. */
export function ownIdentity(certificates: string): PeerIdentity {
  const identity = identityOf(certificates);
  if (identity.role === 'invited') throw new TlsError('BAD_CERTIFICATE', "an invitation's certificate serves nobody");
  return identity;
}
