import type { GaussianStream, PublicStream, RingEngine, RingShape } from '../../crypto/engine.ts';
import { deriveParameters, ringShape } from '../../crypto/params.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';

/** What two engines are compared by: fixed streams, the shape of a request, and every step of a small round. */
export const stream = (tag: number, index: number, length: number): Uint8Array =>
  nodePrimitives.aes256Ctr(nodePrimitives.sha256(Uint8Array.of(tag, index)), length);
export const publicStream =
  (tag: number): PublicStream =>
  (index, length) =>
    stream(tag, index, length);
export const gaussian = (tag: number): GaussianStream => ({
  first: (length) => stream(tag, 0, length),
  rest: (length) => stream(tag, 1, length),
});

export function shapeFor(dimension: number, bits = 16, nodesMax = 128): RingShape {
  const quorum = { minCohort: 2, minHonest: 2, members: 5, threshold: 3 };
  return ringShape(deriveParameters({ dimension, bits, nodesMax, ...quorum }));
}

export function randomValues(count: number, bound: number, tag: number): Int32Array {
  const words = new Uint32Array(stream(tag, 9, 4 * count).slice().buffer);
  return Int32Array.from(words, (x, i) =>
    i % 97 === 0 ? (i % 2 ? 1 - bound : bound - 1) : (x % (2 * bound - 1)) - bound + 1,
  );
}

/** Three uploads of one block summed, opened and checked. @param missing - values short of a full block. */
export function runRound(engine: RingEngine, key: Int16Array, coefficients: number, missing: number) {
  const { primes, slotsPerCoefficient, valueBits } = engine.shape;
  const values = randomValues(slotsPerCoefficient * coefficients - missing, 2 ** (valueBits - 1), 2);
  using sealer = engine.sealer(key);
  using sum = engine.sum(coefficients);
  using checksum = engine.checksum(2, publicStream(5));
  const block = sealer.seal(values, coefficients, publicStream(3), gaussian(4));
  for (let i = 0; i < 3; i++) sum.add(block);
  const weights = Uint32Array.from({ length: 2 * primes.length }, (_, i) => 7919 * i + 1);
  for (let i = 0; i < 2; i++) checksum.add(weights, block, coefficients);
  using opener = engine.opener(Int32Array.from(key, (x) => 3 * x));
  const opened = new Int32Array(values.length);
  const fits = opener.open(sum.wire(), coefficients, publicStream(3), opened);
  const exact = opened.every((x, i) => x === 3 * values[i]!);
  const bytes = engine.wireBytes(coefficients);
  return { block, bytes, sum: sum.wire(), checksum: checksum.value(), opened, fits, exact };
}
