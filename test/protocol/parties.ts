import { createHash } from 'node:crypto';
import { TransportError } from '../../src/grpc/errors.ts';
import type { ChunkSink } from '../../src/grpc/receive-upload.ts';
import { type Authority, issue } from '../../src/tls/authority.ts';
import type { TlsIdentity } from '../../src/tls/context.ts';
import type { TlsRole } from '../../src/tls/identity.ts';
import { createTlsKey } from '../../src/tls/keys.ts';

/** A party with a certificate of the authority. */
export async function party(
  authority: Authority,
  name: string,
  role: TlsRole,
  validity: { now?: Date; days?: number } = {},
): Promise<TlsIdentity> {
  const key = createTlsKey();
  const options = { now: validity.now ?? new Date(), ...(validity.days === undefined ? {} : { days: validity.days }) };
  const certificates = await issue(authority, key, { name, role, organisation: 'Test' }, options);
  return { certificates, key: key.privateKey, authorities: authority.certificate };
}

/** The code of whatever the promise is rejected with; 'SUCCEEDED' when it is not. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'SUCCEEDED';
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
}

export const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

/** A sink in memory that keeps the port's laws and counts what it is asked. */
export class MemorySink implements ChunkSink {
  readonly partial = new Map<string, Uint8Array[]>();
  readonly blobs = new Map<string, Uint8Array>();
  appends = 0;
  delayMs = 0;
  running = 0;
  mostRunning = 0;

  async received(id: string): Promise<number> {
    return this.#held(id);
  }

  async append(id: string, offset: number, bytes: Uint8Array): Promise<void> {
    this.mostRunning = Math.max(this.mostRunning, ++this.running);
    if (this.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, this.delayMs));
    this.running--;
    if (offset !== this.#held(id)) throw new TransportError('OFFSET_MISMATCH', 'another writer was there');
    this.partial.set(id, [...(this.partial.get(id) ?? []), Uint8Array.from(bytes)]);
    this.appends++;
  }

  async finish(id: string, hash: Uint8Array): Promise<boolean> {
    const bytes = Buffer.concat(this.partial.get(id) ?? []);
    if (!Buffer.from(sha256(bytes)).equals(hash)) {
      this.partial.delete(id);
      return false;
    }
    this.blobs.set(id, bytes);
    return true;
  }

  #held(id: string): number {
    return (this.partial.get(id) ?? []).reduce((sum, chunk) => sum + chunk.length, 0);
  }
}
