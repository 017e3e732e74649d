import { LearningError } from './errors.ts';
import { READERS, WIDTHS } from './tensor-types.ts';

/** Largest header that is read; NumPy's own are 128 bytes. */
const HEADER_BYTES_MAX = 4096;
const HEADER =
  /^\{'descr': '(<f2|<f4|<f8)', 'fortran_order': False, 'shape': \((\d{1,12}(?:, \d{1,12})*)?,?\), \} *\n$/;

/** NumPy's names of the types that updates have. */
const TYPES = { '<f2': 'F16', '<f4': 'F32', '<f8': 'F64' } as const;

/** An array of numbers, row-major. */
export interface NumberArray {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/**
 * Reads a NumPy array file (NEP 1, versions 1.0 and 2.0) of little-endian float16, float32 or float64 in C order.
 *
 * @returns the numbers in order. float64 is kept as it is.
 * @throws LearningError BAD_TENSOR_FILE for another layout, a truncated file or trailing bytes; NOT_FINITE.
 */
export function decodeNpy(bytes: Uint8Array): NumberArray {
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
  if (!fields) throw bad('only little-endian float16, float32 and float64 in C order are read');
  const type = TYPES[fields[1] as keyof typeof TYPES];
  const [width, read] = [WIDTHS[type]!, READERS[type]!];
  const shape = fields[2] === undefined ? [] : fields[2].split(', ').map(Number);
  const size = shape.reduce((product, side) => product * side, 1);
  const start = prefix + headerBytes;
  if (bytes.length !== start + size * width) throw bad('its length is not what its shape says: is it truncated?');
  const values = Float64Array.from({ length: size }, (_, i) => read(view, start + width * i));
  if (!values.every(Number.isFinite)) throw new LearningError('NOT_FINITE', 'the .npy file holds NaN or an infinity');
  return { shape, values };
}

function bad(message: string): LearningError {
  return new LearningError('BAD_TENSOR_FILE', `npy: ${message}`);
}
