/**
 * The `power`-fold convolution of a sequence with itself, by one discrete Fourier transform (Cooley, Tukey 1965, radix 2).
 *
 * @param masses - non-negative. @param power - at least 1.
 * @returns power * (length - 1) + 1 values; rounding errors below zero are cut to 0.
 */
export function convolutionPower(masses: Float64Array, power: number): Float64Array {
  const length = power * (masses.length - 1) + 1;
  let size = 1;
  while (size < length) size *= 2;
  const real = new Float64Array(size);
  const imaginary = new Float64Array(size);
  real.set(masses);
  transform(real, imaginary);
  for (let i = 0; i < size; i += 1) {
    const radius = Math.hypot(real[i]!, imaginary[i]!) ** power;
    const angle = Math.atan2(imaginary[i]!, real[i]!) * power;
    // Conjugated, so that a second forward transform is the inverse one.
    real[i] = radius * Math.cos(angle);
    imaginary[i] = -radius * Math.sin(angle);
  }
  transform(real, imaginary);
  return real.subarray(0, length).map((value) => Math.max(0, value / size));
}

/** In place, length a power of two. */
function transform(real: Float64Array, imaginary: Float64Array): void {
  const size = real.length;
  for (let i = 1, j = 0; i < size; i += 1) {
    let bit = size >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j]!, real[i]!];
      [imaginary[i], imaginary[j]] = [imaginary[j]!, imaginary[i]!];
    }
  }
  const cosines = Float64Array.from({ length: size / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / size));
  const sines = Float64Array.from({ length: size / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / size));
  for (let half = 1; half < size; half *= 2) {
    const stride = size / (2 * half);
    for (let start = 0; start < size; start += 2 * half) {
      for (let k = 0; k < half; k += 1) {
        const [c, s] = [cosines[k * stride]!, sines[k * stride]!];
        const [a, b] = [start + k, start + k + half];
        const x = real[b]! * c - imaginary[b]! * s;
        const y = real[b]! * s + imaginary[b]! * c;
        real[b] = real[a]! - x;
        imaginary[b] = imaginary[a]! - y;
        real[a]! += x;
        imaginary[a]! += y;
      }
    }
  }
}
