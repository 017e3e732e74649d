import { X509Certificate } from 'node:crypto';
import { TlsError } from './errors.ts';

const DAY_MS = 86_400_000;
/** A party says that its certificate expires from so many days before, each day. */
const WARN_DAYS = 30;

/** End of validity of a chain's first certificate, in ms since 1970. @param certificates - PEM, unverified. */
export function expiryOf(certificates: string): number {
  return new Date(new X509Certificate(certificates).validTo).getTime();
}

/** @throws TlsError CERTIFICATE_EXPIRED: nobody would accept it, so there is no use in starting with it. */
export function checkInTime(certificates: string, nowMs: number): void {
  const until = expiryOf(certificates);
  if (nowMs <= until) return;
  throw new TlsError(
    'CERTIFICATE_EXPIRED',
    `the certificate expired on ${new Date(until).toISOString()}: the founders renew it with 'veilsum keys renew'`,
  );
}

export interface ExpiryNotice {
  readonly event: 'certificate expires' | 'certificate expired';
  readonly until: string;
  /** Whole days that are left; negative afterwards. */
  readonly days: number;
}

/** What a running party says about its own certificate; null while there is time. */
export function expiryNotice(certificates: string, nowMs: number): ExpiryNotice | null {
  const until = expiryOf(certificates);
  const days = Math.floor((until - nowMs) / DAY_MS);
  if (days >= WARN_DAYS) return null;
  const event = nowMs > until ? 'certificate expired' : 'certificate expires';
  return { event, until: new Date(until).toISOString(), days };
}

/** Says the notice now and once a day. @param certificates - the chain that is in use. @returns ends it. */
export function watchExpiry(certificates: () => string, say: (notice: ExpiryNotice) => void): () => void {
  const look = (): void => {
    const notice = expiryNotice(certificates(), Date.now());
    if (notice !== null) say(notice);
  };
  look();
  const timer = setInterval(look, DAY_MS);
  timer.unref();
  return () => clearInterval(timer);
}
