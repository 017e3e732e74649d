import { CryptoError } from './errors.ts';
import type { Primitives } from './primitives.ts';

/** 2^255 - 19, little-endian: the smallest 255-bit number that is no coordinate. */
const P_LOW = 0xed;

/** True for the one spelling of a u-coordinate that key generation writes: below 2^255 - 19, the top bit clear. */
function isCanonical(publicKey: Uint8Array): boolean {
  if (publicKey[31]! > 0x7f) return false;
  if (publicKey[31] !== 0x7f || publicKey[0]! < P_LOW) return true;
  return !publicKey.subarray(1, 31).every((byte) => byte === 0xff);
}

/**
 * True for an X25519 key that agrees with anybody and has one spelling: 32 bytes, canonical, not of small order. RFC 7748
 * ignores the top bit and reduces; a key under two spellings would pass for two keys where reuse is looked for.
 */
export function isAgreementKey(p: Primitives, publicKey: Uint8Array): boolean {
  if (publicKey.length !== 32 || !isCanonical(publicKey)) return false;
  try {
    // Any scalar shows it: clamping makes all of them multiples of eight, and none of them of the group's order.
    p.x25519Agree(new Uint8Array(32), publicKey);
    return true;
  } catch (error) {
    if (error instanceof CryptoError && error.code === 'BAD_KEY') return false;
    throw error;
  }
}
