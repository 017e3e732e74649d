import type { RingEngine, RingShape } from '../../crypto/engine.ts';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { createSealEngine } from '../../crypto/engine-seal.ts';
import { ringShape } from '../../crypto/params.ts';
import type { PayloadContext } from '../../crypto/payload.ts';
import { selfCheck } from '../../crypto/self-check.ts';
import { type RoundRecord, recordHashOf } from '../../protocols/record.ts';
import { loadKernelModule } from '../platform/kernel.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';

/** `auto`: node-seal for updates of a few blocks, where it costs nothing; the kernel above. */
export type EngineChoice = 'auto' | 'kernel' | 'node-seal';

const FEW_BLOCKS = 4;
const made = new Map<string, Promise<RingEngine>>();

/**
 * The same ring with three of its primes: SEAL's set-up grows with the square of their number (6 s for 14 of them), and
 * the primes are independent of one another.
 */
function shapeToCheck(shape: RingShape): RingShape {
  const { primes, slotBits, logDelta } = shape;
  if (primes.length <= 3) return shape;
  const some = [primes[0]!, primes[primes.length >> 1]!, primes.at(-1)!];
  const bits = some.reduce((sum, q) => sum + Math.log2(q), 0);
  const slotsPerCoefficient = Math.max(1, Math.floor((bits - 1 - logDelta) / slotBits));
  return { ...shape, primes: some, slotsPerCoefficient };
}

/** The checked engine of a shape: before its first use in a process, kernel and node-seal do the same work and compare. */
async function make(shape: RingShape, kind: 'kernel' | 'node-seal'): Promise<RingEngine> {
  const checked = shapeToCheck(shape);
  using kernel = await createKernelEngine(loadKernelModule(), checked);
  using seal = await createSealEngine(checked);
  selfCheck(nodePrimitives, kernel, seal);
  return kind === 'kernel' ? createKernelEngine(loadKernelModule(), shape) : createSealEngine(shape);
}

/**
 * What payloads of a round are made, added and opened with.
 *
 * @throws CryptoError ENGINE_MISMATCH when the two engines disagree on this machine: neither is used then.
 */
export async function payloadContext(record: RoundRecord, choice: EngineChoice): Promise<PayloadContext> {
  const kind = choice === 'auto' ? (record.parameters.blocks <= FEW_BLOCKS ? 'node-seal' : 'kernel') : choice;
  const shape = ringShape(record.parameters);
  const key = `${kind} ${JSON.stringify(shape)}`;
  const engine = made.get(key) ?? make(shape, kind);
  made.set(key, engine);
  engine.catch(() => made.delete(key));
  return {
    parameters: record.parameters,
    recordHash: recordHashOf(nodePrimitives, record),
    engine: await engine,
    primitives: nodePrimitives,
  };
}
