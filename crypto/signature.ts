import { labelBytes } from './domain.ts';
import { concat, u64be } from './encoding.ts';
import type { Primitives } from './primitives.ts';
import type { SecretBytes } from './secret.ts';

const SEPARATOR = new Uint8Array(1);

/** `label || 0x00 || bytes`: injective, since a label holds no NUL. */
function labelled(label: string, ...bytes: readonly Uint8Array[]): Uint8Array {
  return concat(prefixOf(label), ...bytes);
}

/** Labels are few; encoding and checking one takes as long as copying a leaf. */
const prefixes = new Map<string, Uint8Array>();

function prefixOf(label: string): Uint8Array {
  const known = prefixes.get(label);
  if (known !== undefined) return known;
  const prefix = concat(labelBytes(label), SEPARATOR);
  if (prefixes.size < 64) prefixes.set(label, prefix);
  return prefix;
}

/** Where public messages are put together to be verified, one at a time: reading a log makes no buffer for each leaf. */
const joined = new Uint8Array(1 << 17);

/** `label || 0x00 || parts`, valid until the next call. */
function joinedPublic(label: string, parts: readonly Uint8Array[]): Uint8Array {
  const prefix = prefixOf(label);
  let at = prefix.length;
  for (const part of parts) at += part.length;
  if (at > joined.length) return labelled(label, ...parts);
  joined.set(prefix);
  at = prefix.length;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined.subarray(0, at);
}

/**
 * Ed25519 signature (RFC 8032) over `label || 0x00 || bytes`: 64 bytes. Deterministic.
 *
 * @param seed - the signer's 32-byte secret. Not wiped here.
 * @param label - from DOMAIN; a signature under one label is never valid under another.
 * @throws CryptoError BAD_VALUE for a malformed label, ALREADY_WIPED
 */
export function sign(p: Primitives, seed: SecretBytes, label: string, bytes: Uint8Array): Uint8Array {
  return p.ed25519Sign(seed.bytes, labelled(label, bytes));
}

/**
 * Verdict of the one Ed25519 rule (primitives.ts) on `label || 0x00 || bytes`. False, never a throw, on peer input.
 *
 * @param bytes - what was signed; parts stand for their concatenation.
 */
export function verify(
  p: Primitives,
  publicKey: Uint8Array,
  label: string,
  bytes: Uint8Array | readonly Uint8Array[],
  signature: Uint8Array,
): boolean {
  const parts = bytes instanceof Uint8Array ? [bytes] : bytes;
  return p.ed25519Verify(publicKey, joinedPublic(label, parts), signature);
}

/**
 * SHA-256 over `label || 0x00 || (u64be length || part)*`: injective in the list of parts, for one label.
 *
 * @returns 32 bytes
 * @throws CryptoError BAD_VALUE for a malformed label
 */
export function hashWithLabel(p: Primitives, label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  return p.sha256(labelBytes(label), SEPARATOR, ...parts.flatMap((part) => [u64be(part.length), part]));
}

/**
 * HKDF or HPKE `info`: `label || 0x00 || (u64be length || part)*`, the same injective form unhashed.
 *
 * @throws CryptoError BAD_VALUE for a malformed label
 */
export function infoWithLabel(label: string, ...parts: readonly Uint8Array[]): Uint8Array {
  return concat(labelBytes(label), SEPARATOR, ...parts.flatMap((part) => [u64be(part.length), part]));
}
