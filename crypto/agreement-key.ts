import { bytesEqual, fromHex } from './encoding.ts';

/** 2^255 - 19, little-endian: the smallest 255-bit number that is no coordinate. */
const P_LOW = 0xed;

/** True for the one spelling of a u-coordinate that key generation writes: below 2^255 - 19, the top bit clear. */
function isCanonical(publicKey: Uint8Array): boolean {
  if (publicKey[31]! > 0x7f) return false;
  if (publicKey[31] !== 0x7f || publicKey[0]! < P_LOW) return true;
  return !publicKey.subarray(1, 31).every((byte) => byte === 0xff);
}

/**
 * All coordinates below 2^255 - 19 that every clamped scalar takes to zero: on Curve25519 (cofactor 8) u = 0 of order 2,
 * u = 1 of order 4 and two of order 8; on its twist (cofactor 4) u = 0 and u = -1. A test derives them.
 */
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map((hex) => fromHex(hex, 32));

/**
 * True for an X25519 key that agrees with anybody and has one spelling: 32 bytes, canonical, not of small order. RFC 7748
 * ignores the top bit and reduces; a key under two spellings would pass for two keys where reuse is looked for.
 *
 * By table, since every reader of a log asks it for every upload: agreeing with the key to see if it is zero takes as long
 * as verifying the upload's signature.
 */
export function isAgreementKey(publicKey: Uint8Array): boolean {
  return (
    publicKey.length === 32 && isCanonical(publicKey) && !SMALL_ORDER.some((small) => bytesEqual(small, publicKey))
  );
}
