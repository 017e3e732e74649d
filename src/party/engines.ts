import type { RingEngine, RingShape } from '../../crypto/engine.ts';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { createSealEngine } from '../../crypto/engine-seal.ts';
import { deriveParameters, type RoundParameters, ringShape } from '../../crypto/params.ts';
import type { PayloadContext } from '../../crypto/payload.ts';
import { selfCheck } from '../../crypto/self-check.ts';
import { type RoundRecord, recordHashOf } from '../../protocols/record.ts';
import type { Task } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import { loadKernelModule } from '../platform/kernel.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';

/**
 * `auto`: node-seal for one small block, the kernel above. Measured, processor time of one core: at N=4096 and 3 primes
 * SEAL is set up in 0.1 s and seals a block in 12 ms (kernel 1 ms); at N=16384 and 14 primes it takes 1.4 s and 200 ms
 * (kernel 6 ms).
 */
export type EngineChoice = 'auto' | 'kernel' | 'node-seal';

/** Residues of a payload, up to which `auto` takes node-seal. */
const FEW_RESIDUES = 1 << 15;
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

function automatic({ blocks, ringDegree, primes }: RoundParameters): 'kernel' | 'node-seal' {
  return blocks * ringDegree * primes.length <= FEW_RESIDUES ? 'node-seal' : 'kernel';
}

/** The engine of a round's parameters, made once in a process. */
function engineOf(parameters: RoundParameters, choice: EngineChoice): Promise<RingEngine> {
  const kind = choice === 'auto' ? automatic(parameters) : choice;
  const shape = ringShape(parameters);
  const key = `${kind} ${JSON.stringify(shape)}`;
  const engine = made.get(key) ?? make(shape, kind);
  made.set(key, engine);
  engine.catch(() => made.delete(key));
  return engine;
}

/**
 * What payloads of a round are made, added and opened with.
 *
 * @throws CryptoError ENGINE_MISMATCH when the two engines disagree on this machine: neither is used then.
 */
export async function payloadContext(record: RoundRecord, choice: EngineChoice): Promise<PayloadContext> {
  return {
    parameters: record.parameters,
    recordHash: recordHashOf(nodePrimitives, record),
    engine: await engineOf(record.parameters, choice),
    primitives: nodePrimitives,
  };
}

/**
 * Makes the engines of tasks before their first round, whose time for uploads may be short. A round that has fewer
 * members than the quorum may need others: those are made when it comes.
 */
export async function warmTasks(
  tasks: readonly Task[],
  quorum: { readonly members: number; readonly threshold: number },
  choice: EngineChoice,
): Promise<void> {
  for (const { dimension, bits, nodesMax, minCohort, minHonest } of tasks) {
    const places = { dimension, bits, nodesMax, minCohort, minHonest };
    // A failure is told to whoever asks for the engine, or for a round of the task.
    await Promise.resolve({ ...places, ...quorum })
      .then((fields) => engineOf(deriveParameters(fields), choice))
      .catch(() => {});
  }
}

/** Makes the engine of every round that is taking uploads, so that the first payload does not wait for it. */
export function warmEngines(rounds: Iterable<Round>, choice: EngineChoice): void {
  for (const round of rounds) {
    // A failure is told to whoever asks for the engine.
    if (round.phase === 'uploading') payloadContext(round.record, choice).catch(() => {});
  }
}
