import { LearningError } from './errors.ts';

/** Largest header that is read; NumPy's own are 128 bytes. */
const HEADER_BYTES_MAX = 4096;
const HEADER = /^\{'descr': '(<f4|<f8)', 'fortran_order': False, 'shape': \((\d{1,12}(?:, \d{1,12})*)?,?\), \} *\n$/;

/**
 * Reads a NumPy array file (NEP 1, versions 1.0 and 2.0) of little-endian float32 or float64 in C order, any shape.
 *
 * @returns the numbers in order. float64 is kept as it is.
 * @throws LearningError BAD_TENSOR_FILE for another layout, a truncated file or trailing bytes; NOT_FINITE.
 */
export function decodeNpy(bytes: Uint8Array): Float64Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = '\x93NUMPY';
  if (bytes.length < 12 || [...magic].some((letter, i) => bytes[i] !== letter.charCodeAt(0)))
    throw bad('not a .npy file');
  const major = bytes[6]!;
  if ((major !== 1 && major !== 2) || bytes[7] !== 0) throw bad('only versions 1.0 and 2.0 are read');
  const prefix = major === 1 ? 10 : 12;
  const headerBytes = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (headerBytes > HEADER_BYTES_MAX || prefix + headerBytes > bytes.length) throw bad('its header is too long');
  const header = String.fromCharCode(...bytes.subarray(prefix, prefix + headerBytes));
  const fields = HEADER.exec(header);
  if (!fields) throw bad('only little-endian float32 and float64 in C order are read');
  const width = fields[1] === '<f4' ? 4 : 8;
  const size = (fields[2] ?? '').split(', ').reduce((product, side) => product * (side === '' ? 1 : Number(side)), 1);
  const start = prefix + headerBytes;
  if (bytes.length !== start + size * width) throw bad('its length is not what its shape says: is it truncated?');
  const values = Float64Array.from({ length: size }, (_, i) =>
    width === 4 ? view.getFloat32(start + 4 * i, true) : view.getFloat64(start + 8 * i, true),
  );
  if (!values.every(Number.isFinite)) throw new LearningError('NOT_FINITE', 'the .npy file holds NaN or an infinity');
  return values;
}

function bad(message: string): LearningError {
  return new LearningError('BAD_TENSOR_FILE', `npy: ${message}`);
}
