import { toHex } from '../../crypto/encoding.ts';
import type { Primitives } from '../../crypto/primitives.ts';

/** Signatures that are remembered: a head and its cosignatures are verified again within moments, or never. */
const REMEMBERED = 64;

/**
 * Primitives that do not verify the same signature of the same key over the same message twice. Only what verified is
 * remembered, by a hash over all three (key and signature have fixed lengths, so it is injective); whatever differs in
 * one bit is verified.
 *
 * Law: same verdict as `p` on every input.
 */
export function rememberVerdicts(p: Primitives): Primitives {
  const genuine = new Set<string>();
  return {
    ...p,
    ed25519Verify: (key, message, signature) => {
      if (key.length !== 32 || signature.length !== 64) return p.ed25519Verify(key, message, signature);
      const name = toHex(p.sha256(key, signature, message));
      if (genuine.has(name)) return true;
      if (!p.ed25519Verify(key, message, signature)) return false;
      if (genuine.size >= REMEMBERED) genuine.delete(genuine.values().next().value!);
      genuine.add(name);
      return true;
    },
  };
}
