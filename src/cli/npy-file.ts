/** An array of little-endian float64 in NumPy's format (NEP 1, version 1.0), of one dimension where no shape is given. */
export function encodeNpy(values: Float64Array, shape: readonly number[] = [values.length]): Uint8Array {
  const sides = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
  const text = `{'descr': '<f8', 'fortran_order': False, 'shape': ${sides}, }`;
  // Magic, version and length take 10 bytes; the header ends in a newline at a multiple of 64.
  const headerBytes = Math.ceil((10 + text.length + 1) / 64) * 64 - 10;
  const bytes = new Uint8Array(10 + headerBytes + 8 * values.length);
  bytes.set([0x93, ...Buffer.from('NUMPY'), 1, 0]);
  const view = new DataView(bytes.buffer);
  view.setUint16(8, headerBytes, true);
  bytes.set(Buffer.from(`${text.padEnd(headerBytes - 1)}\n`, 'latin1'), 10);
  for (const [i, value] of values.entries()) view.setFloat64(10 + headerBytes + 8 * i, value, true);
  return bytes;
}
