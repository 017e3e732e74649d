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

/** The checked engine of a shape: before its first use in a process, kernel and node-seal do the same work and compare. */
async function make(shape: RingShape, kind: 'kernel' | 'node-seal'): Promise<RingEngine> {
  const kernel = await createKernelEngine(loadKernelModule(), shape);
  const seal = await createSealEngine(shape);
  selfCheck(nodePrimitives, kernel, seal);
  const [chosen, other] = kind === 'kernel' ? [kernel, seal] : [seal, kernel];
  other[Symbol.dispose]();
  return chosen;
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
