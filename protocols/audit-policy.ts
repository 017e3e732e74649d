import { fromBase64, toBase64 } from '../crypto/encoding.ts';
import type { Policy } from '../crypto/policy.ts';
import type { Body } from './leaves.ts';

/**
 * Fewest witnesses of genesis whose cosignatures, together with those of all strangers, satisfy a policy. Exact: a name of
 * a policy file is in one group at most, so its quorum is a tree.
 *
 * @param keys - public keys of genesis' witnesses, base64.
 */
export function leastGenesisWitnesses(policy: Policy, keys: ReadonlySet<string>): number {
  const least = new Map<string, number>(
    policy.witnesses.map(({ name, verifier }) => [name, keys.has(toBase64(verifier.publicKey)) ? 1 : 0]),
  );
  for (const { name, threshold, members } of policy.groups) {
    const costs = members.map((member) => least.get(member)!).sort((a, b) => a - b);
    least.set(
      name,
      costs.slice(0, threshold).reduce((sum, cost) => sum + cost, 0),
    );
  }
  return least.get(policy.quorum) ?? 0; // `none` asks for nobody
}

/** Public keys of the witnesses that genesis lists: its members and the outside ones. */
export function witnessKeysOf(genesis: Body<'genesis'>): Set<string> {
  return new Set([...genesis.members, ...genesis.witnesses].map(({ witnessKey }) => witnessKey));
}

/** Whether a policy file accepts checkpoints under genesis' log key and origin, and no other key for that origin. */
export function namesLogKey(policy: Policy, genesis: Body<'genesis'>): boolean {
  const ofOrigin = policy.logs.filter(({ verifier }) => verifier.name === genesis.origin);
  const key = toBase64(fromBase64(genesis.logKey, 32));
  return ofOrigin.length > 0 && ofOrigin.every(({ verifier }) => toBase64(verifier.publicKey) === key);
}
