import type { RingEngine } from '../../crypto/engine.ts';
import type { Primitives, Rng } from '../../crypto/primitives.ts';
import { deriveQuantiser } from '../../crypto/quantise.ts';
import { chargeOfTask, type Task } from '../../protocols/task.ts';
import type { Tf } from '../learning/load-tensorflow.ts';
import { initialModel } from '../learning/model.ts';
import { encodeSafetensors, modelTensors } from '../learning/safetensors.ts';
import { type FeatureSchema, parseSchema } from '../learning/schema.ts';
import { makeTable, type Table } from '../learning/table.ts';
import { MemoryFederation } from '../simulate/memory-federation.ts';
import type { Trial } from './epsilon-bound.ts';
import { TrainingError } from './errors.ts';
import { parseLearningPlan } from './learning-plan.ts';
import { makeTask } from './make-task.ts';
import { createNodeSource } from './node-source.ts';

/**
 * An attack on our own rounds: records made to be found. Canary j has one large feature, that of column j, so that its
 * clipped gradient is nearly all in coordinate j, where no other record has anything. Whoever knows everything but whether
 * it is in the table looks at that coordinate of the opened sum.
 *
 * Rounding, noise and draw are independent between coordinates, so every canary of a round is a trial of its own: neighbouring
 * cohorts by the hundred in one round.
 */
export interface CanaryRequest {
  /** What one round claims to cost. */
  readonly epsilon: number;
  readonly delta: number;
  /** Rounds over drawn records; left out: over all. */
  readonly sampleRate?: number | undefined;
  readonly canaries: number;
  readonly rounds: number;
  /** The task as the nodes really follow it: as it is, if they are honest. The round is charged for the task. */
  readonly asFollowed?: (task: Task) => Task;
}

export interface CanaryKit {
  readonly tf: Tf;
  readonly primitives: Primitives;
  readonly rng: Rng;
  readonly engineFor: (task: Task, quorum: typeof QUORUM) => Promise<RingEngine>;
}

const QUORUM = { members: 3, threshold: 2 };
/** The honest nodes that the account counts on, and nobody else: as little noise as a round can have. */
const NODES = 2;
/** The largest value that a feature can have. */
const LARGEST = 16;

function canarySchema(canaries: number): FeatureSchema {
  const feature = (i: number) => ({ kind: 'number', column: `canary-${i}`, mean: 0, scale: 1, limit: LARGEST });
  return parseSchema({
    name: 'canaries',
    version: 1,
    label: { column: 'outcome', positive: ['1'], negative: ['0'] },
    features: Array.from({ length: canaries }, (_, i) => feature(i)),
  });
}

/** Two plain rows, one of each label, and the canaries that are present. */
function tableOf(name: string, isPresent: readonly boolean[]): Table {
  const own = isPresent.flatMap((present, i) => (present ? [i] : []));
  const columns = new Map([['outcome', ['1', '0', ...own.map(() => '1')]]]);
  for (const i of isPresent.keys())
    columns.set(`canary-${i}`, ['0', '0', ...own.map((j) => (i === j ? String(LARGEST) : '0'))]);
  return makeTable(name, columns);
}

/** The task as nodes follow it that add this part of the noise that they owe: for controls. */
export function withLessNoise(task: Task, share: number): Task {
  const full = BigInt(task.noise.sigma2Numerator);
  const variance = BigInt(Math.max(1, Math.round(Number(full) * share * share)));
  const { unit, dimension, scale } = task;
  const plan = parseLearningPlan(task);
  const { bits } = deriveQuantiser({
    ...{ unit, dimension, scale, recordsMax: plan.unit === 'record' ? plan.recordsMax : 1 },
    clip: task.clipMicro / 1e6,
    variance: { sigma2Numerator: variance, sigma2Denominator: 1n },
  });
  return { ...task, bits, noise: { sigma2Numerator: String(variance), sigma2Denominator: '1' } };
}

/**
 * Plays `rounds` times `canaries` games through everything that a round does in production: tables, gradients, draw, clipping,
 * rounding, noise, encryption, masks, quorum, log, ledger and opening, in one process.
 *
 * @throws TrainingError NOT_DECIDED when a round is not released.
 */
export async function playCanaries(request: CanaryRequest, kit: CanaryKit): Promise<Trial[]> {
  const { canaries, rounds, epsilon, delta, sampleRate, asFollowed = (same) => same } = request;
  const schema = canarySchema(canaries);
  const recordsMax = canaries + 4;
  const { task } = makeTask({
    ...{ dataset: 'synthetic', schema, window: 'audit', recipients: ['recipient'], quorum: QUORUM, recordsMax },
    ...{ nodes: NODES, nodesMax: NODES, minCohort: NODES, minHonest: NODES, rounds: 1, epsilon, delta },
    ...(sampleRate === undefined ? {} : { sampleRate }),
  });
  const nodeTask = asFollowed(task);
  const { dimension, bits, nodesMax, minCohort, minHonest } = task;
  const engine = await kit.engineFor(task, QUORUM);
  const federation = new MemoryFederation({
    ...{ primitives: kit.primitives, rng: kit.rng, engine: () => engine, nodes: NODES, ...QUORUM },
    request: { dimension, bits, nodesMax, minCohort, minHonest },
    budgetRhoNano: chargeOfTask(task) * rounds,
    // Of all rounds; each is looked at by itself.
    budgetEpsilonMicro: 1_000_000_000,
    sigma2: BigInt(task.noise.sigma2Numerator),
    sensitivity2: BigInt(task.sensitivity2),
    ...(task.sampling === undefined ? {} : { sampling: task.sampling }),
  });
  const model = encodeSafetensors(modelTensors(initialModel({ kind: 'logistic', inputs: canaries + 1 })));
  const plain = tableOf('plain', new Array<boolean>(canaries).fill(false));
  const trials: Trial[] = [];
  for (let round = 1; round <= rounds; round++) {
    const coins = kit.rng(canaries);
    const isPresent = Array.from(coins, (coin) => coin % 2 === 1);
    const updates = new Map<string, Int32Array>();
    for (const [i, name] of federation.nodeNames.entries()) {
      const train = i === 0 ? tableOf('with canaries', isPresent) : plain;
      const tables = { name, train, heldOut: plain };
      const source = createNodeSource({ tf: kit.tf, tables, tasks: [nodeTask], schemas: [schema], rng: kit.rng });
      updates.set(name, (await source.update(nodeTask, undefined as never, model))!);
    }
    const released = federation.runRound(round, updates);
    const opened = federation.openings.get(released.id);
    if (opened === undefined) throw new TrainingError('NOT_DECIDED', `round ${round} was not released`);
    federation.blobs.clear();
    // The label is positive, so the gradient points down; coordinate 0 is the intercept's.
    isPresent.forEach((present, i) => void trials.push({ isPresent: present, score: -opened.values[i + 1]! }));
  }
  return trials;
}
