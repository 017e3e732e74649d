import { makeSigner, type Signer } from '../../crypto/note.ts';
import { flatPolicy, type Policy } from '../../crypto/policy.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { LogStore } from '../../src/log/log-store.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import type { RecordStore } from '../../src/store/port.ts';

const signer = (type: 'ed25519' | 'cosignature', name: string, fill: number): Signer => {
  return makeSigner(p, type, name, new SecretBytes(name, new Uint8Array(32).fill(fill)));
};

/** A log with three witnesses of which two are needed. Keys are fixed: nothing here is secret. */
export const logSigner = signer('ed25519', 'log.example/test', 1);
export const witnesses = [2, 3, 4].map((fill) => signer('cosignature', `w${fill}.example`, fill));
export const policy: Policy = flatPolicy(
  p,
  [{ verifier: logSigner.verifier, url: null }],
  witnesses.map(({ verifier }, i) => ({ name: `w${i}`, verifier, url: null })),
  2,
);

export function openLog(records: RecordStore): Promise<LogStore> {
  return LogStore.open({ primitives: p, records, signer: logSigner, policy });
}
