import { concat, u32be } from '../../crypto/encoding.ts';
import { StoreError } from '../store/errors.ts';

/** Several byte strings as one: each after its length as u32be. */
export function encodeParts(parts: readonly Uint8Array[]): Uint8Array {
  return concat(...parts.flatMap((part) => [u32be(part.length), part]));
}

/** @throws StoreError CORRUPT for anything that `encodeParts` did not write. */
export function decodeParts(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 <= bytes.length ? at + 4 + view.getUint32(at) : Number.POSITIVE_INFINITY;
    if (end > bytes.length) throw new StoreError('CORRUPT', 'a stored row is cut short');
    parts.push(bytes.slice(at + 4, end));
    at = end;
  }
  return parts;
}
