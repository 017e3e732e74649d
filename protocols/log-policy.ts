import { fromBase64 } from '../crypto/encoding.ts';
import { makeVerifier } from '../crypto/note.ts';
import { flatPolicy, type Policy } from '../crypto/policy.ts';
import type { Primitives } from '../crypto/primitives.ts';
import type { Body } from './leaves.ts';

/** Name of a witness's key in notes and policy files. */
export function witnessKeyName(origin: string, witness: string): string {
  return `${origin}/witness/${witness}`;
}

/**
 * The C2SP tlog-policy that genesis fixes: its log key, and any w of members and outside witnesses.
 *
 * @throws CryptoError BAD_ENCODING, BAD_LENGTH for a genesis that no rule would have counted.
 */
export function policyOf(p: Primitives, genesis: Body<'genesis'>): Policy {
  const log = makeVerifier(p, 'ed25519', genesis.origin, fromBase64(genesis.logKey, 32));
  const named = [...genesis.members.map((member) => ({ ...member, keyName: undefined })), ...genesis.witnesses];
  const witnesses = named.map(({ name, witnessKey, keyName = witnessKeyName(genesis.origin, name) }) => ({
    name,
    verifier: makeVerifier(p, 'cosignature', keyName, fromBase64(witnessKey, 32)),
    url: null,
  }));
  return flatPolicy(p, [{ verifier: log, url: null }], witnesses, genesis.cosigning.needed);
}
