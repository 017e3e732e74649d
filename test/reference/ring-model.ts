import type { RingShape } from '../../crypto/engine.ts';
import type { RingOperations } from '../../crypto/engine-reference.ts';

/**
 * The ring as a textbook has it, in bigints: the transform splits X^n - z into (X^(n/2) - s)(X^(n/2) + s), s^2 = z, from
 * X^N + 1 down to the points. Shares no line with an engine.
 */
export function modelOperations(shape: RingShape): RingOperations {
  const { degree } = shape;
  const primes = shape.primes.map(BigInt);
  const roots = primes.map((q) => minimalRoot(q, BigInt(2 * degree)));

  const overPrimes = (work: (index: number, q: bigint) => bigint[]): Uint32Array =>
    Uint32Array.from(
      primes.flatMap((q, i) => work(i, q)),
      Number,
    );
  const part = (polynomial: Uint32Array, index: number): bigint[] =>
    Array.from(polynomial.subarray(index * degree, (index + 1) * degree), BigInt);
  const product = (a: Uint32Array, b: Uint32Array): Uint32Array =>
    overPrimes((i, q) => {
      const right = part(b, i);
      return inverse(
        part(a, i).map((x, c) => (x * right[c]!) % q),
        roots[i]!,
        q,
      );
    });

  return {
    toNtt: (polynomial) => overPrimes((i, q) => forward(part(polynomial, i), roots[i]!, q)),
    encrypt(a, key, message) {
      const mask = product(a, key);
      return overPrimes((i, q) => part(message, i).map((x, c) => (x + q - BigInt(mask[i * degree + c]!)) % q));
    },
    accumulator() {
      const terms: Uint32Array[] = [];
      return {
        add: (polynomial) => void terms.push(polynomial),
        words: () =>
          overPrimes((i, q) =>
            Array.from({ length: degree }, (_, c) => terms.reduce((s, t) => s + BigInt(t[i * degree + c]!), 0n) % q),
          ),
        [Symbol.dispose]() {},
      };
    },
    decryptor(given) {
      const key = given.slice();
      return {
        decrypt(c, a) {
          const mask = product(a, key);
          return overPrimes((i, q) => part(c, i).map((x, at) => (x + BigInt(mask[i * degree + at]!)) % q));
        },
        [Symbol.dispose]() {},
      };
    },
    [Symbol.dispose]() {},
  };
}

export function power(base: bigint, exponent: bigint, q: bigint): bigint {
  let result = 1n;
  for (let b = base % q, e = exponent; e > 0n; e >>= 1n, b = (b * b) % q) if (e & 1n) result = (result * b) % q;
  return result;
}

/** The smallest primitive root of unity of a power-of-two order. */
export function minimalRoot(q: bigint, order: bigint): bigint {
  let root = 0n;
  for (let g = 2n; root === 0n; g++) {
    const candidate = power(g, (q - 1n) / order, q);
    if (power(candidate, order / 2n, q) === q - 1n) root = candidate;
  }
  let least = root;
  const square = (root * root) % q;
  for (let r = root, i = 0n; i < order / 2n; i++, r = (r * square) % q) if (r < least) least = r;
  return least;
}

/** Values of p at the roots of X^N + 1, in bit-reversed order. */
export function forward(p: bigint[], root: bigint, q: bigint): bigint[] {
  const split = (values: bigint[], exponent: bigint): bigint[] => {
    if (values.length === 1) return values;
    const half = values.length / 2;
    const s = power(root, exponent / 2n, q);
    const left: bigint[] = [];
    const right: bigint[] = [];
    for (let i = 0; i < half; i++) {
      const t = (values[half + i]! * s) % q;
      left.push((values[i]! + t) % q);
      right.push((values[i]! + q - t) % q);
    }
    // -s = s * root^N.
    return [...split(left, exponent / 2n), ...split(right, exponent / 2n + BigInt(p.length))];
  };
  return split(p, BigInt(p.length));
}

/** Inverse of `forward`. */
export function inverse(values: bigint[], root: bigint, q: bigint): bigint[] {
  const half = (q + 1n) / 2n;
  const merge = (points: bigint[], exponent: bigint): bigint[] => {
    if (points.length === 1) return points;
    const size = points.length / 2;
    const left = merge(points.slice(0, size), exponent / 2n);
    const right = merge(points.slice(size), exponent / 2n + BigInt(values.length));
    const scale = power(power(root, exponent / 2n, q), q - 2n, q);
    const low = left.map((x, i) => ((x + right[i]!) * half) % q);
    const high = left.map((x, i) => ((((x + q - right[i]!) * half) % q) * scale) % q);
    return [...low, ...high];
  };
  return merge(values, BigInt(values.length));
}
