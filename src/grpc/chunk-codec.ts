/**
 * Wire form of the messages that carry chunks: `oneof part { ... = 1; bytes chunk = 2; }`. The generated encoder copies
 * a chunk three times and its decoder accepts unknown and repeated fields; this one copies once, and reads one field.
 */

const CHUNK_TAG = 0x12; // field 2, length-delimited

/** A message of a stream of chunks, whatever its other part is. */
export interface ChunkMessage {
  part?: { $case: 'chunk'; value: Uint8Array } | { $case: string; value: unknown } | undefined;
}

/** Encodes a chunk as one buffer; everything else as generated. */
export function encodeWithChunks<T extends ChunkMessage>(generated: (message: T) => Buffer): (message: T) => Buffer {
  return (message) => {
    if (message.part?.$case !== 'chunk') return generated(message);
    const chunk = message.part.value as Uint8Array;
    const header = [CHUNK_TAG];
    let rest = chunk.length;
    for (; rest >= 0x80; rest >>>= 7) header.push((rest & 0x7f) | 0x80);
    header.push(rest);
    const buffer = Buffer.allocUnsafeSlow(header.length + chunk.length);
    buffer.set(header);
    buffer.set(chunk, header.length);
    return buffer;
  };
}

/**
 * Decodes a message that is one chunk and nothing else without copying: the result is a view of `buffer`.
 *
 * @returns null when it is anything else, to be decoded as generated.
 */
export function decodeChunk(buffer: Uint8Array): Uint8Array | null {
  if (buffer[0] !== CHUNK_TAG) return null;
  let length = 0;
  let position = 1;
  for (let shift = 0; ; shift += 7) {
    const byte = buffer[position++];
    if (byte === undefined || shift > 21) return null;
    length += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) {
      if (byte === 0 && shift > 0) return null; // a longer spelling of the same number
      break;
    }
  }
  return buffer.length - position === length ? buffer.subarray(position) : null;
}
