import { type Block, type Coverage, covers, Reached } from './coverage.ts';
import { join } from './mutate-bytes.ts';
import { type Chance, pick, seededChance } from './random.ts';
import { isRefusal, mutate, type Target } from './target.ts';

/** CPU time that an input of at most 64 KiB may cost, in ms. */
export const MAX_INPUT_MS = 50;
/** Heap and array buffers that a batch of inputs may leave behind before anything is collected, in bytes. */
export const MAX_BATCH_BYTES = 256 * 1024 * 1024;
const BATCH = 16;
/** Inputs between two readings of the coverage, where nothing new is found: a reading costs milliseconds. */
const MAX_BATCH = 512;

/** What an input did that it must not. */
export interface Flaw {
  readonly input: Uint8Array;
  readonly what: 'error' | 'law' | 'time' | 'memory' | 'input changed';
  readonly message: string;
}

/** What became of one input. */
export type Outcome = 'accepted' | 'refused' | Flaw;

export interface Tally {
  executions: number;
  accepted: number;
  refused: number;
}

/** Runs one input and judges what happens. */
export async function execute(target: Target, input: Uint8Array): Promise<Outcome> {
  const given = input.slice();
  const started = performance.now();
  let outcome: Outcome;
  try {
    const accepted = target.run(given);
    outcome = (typeof accepted === 'boolean' ? accepted : await accepted) ? 'accepted' : 'refused';
  } catch (error) {
    if (isRefusal(target, error)) outcome = 'refused';
    else outcome = { input, what: (error as Error)?.name === 'BrokenLaw' ? 'law' : 'error', message: describe(error) };
  }
  const tookMs = performance.now() - started;
  if (Buffer.compare(given, input) !== 0)
    return { input, what: 'input changed', message: 'the decoder wrote to its input' };
  if (typeof outcome === 'string' && tookMs > MAX_INPUT_MS) {
    const costMs = await cheapest(target, input);
    if (costMs > MAX_INPUT_MS)
      return { input, what: 'time', message: `${costMs.toFixed(0)} ms of CPU, at best of five runs` };
  }
  return outcome;
}

/** CPU time of the fastest of five runs: a busy machine and the compiler's warming up do not count. */
async function cheapest(target: Target, input: Uint8Array): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const before = process.threadCpuUsage();
    try {
      await target.run(input.slice());
    } catch {
      // judged before
    }
    const { user, system } = process.threadCpuUsage(before);
    best = Math.min(best, (user + system) / 1000);
  }
  return best;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const { code } = error as { code?: unknown };
  const where = (error.stack ?? '').split('\n').find((line) => /\/(?:crypto|protocols|src|proto)\//.test(line)) ?? '';
  return `${error.name}${code === undefined ? '' : ` ${String(code)}`}: ${error.message.slice(0, 200)}${where && ` (${where.trim()})`}`;
}

const allocated = (): number => {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

export interface FuzzOptions {
  readonly seed: string;
  /** Inputs to start from: seeds, corpus. */
  readonly pool: readonly Uint8Array[];
  /** Where given, inputs that reach what is not reached yet join the pool. */
  readonly guide?: { readonly coverage: Coverage; readonly reached: Reached };
  readonly more: (tally: Tally) => boolean;
  readonly onNews?: (input: Uint8Array) => void;
}

/**
 * Mutates inputs of the pool and runs them until `more` says no or a flaw is found. The same seed, pool and number of
 * executions give the same inputs, unless a coverage reading differs (V8 discards unused functions now and then).
 */
export async function fuzz(target: Target, options: FuzzOptions): Promise<{ tally: Tally; flaw: Flaw | null }> {
  const chance = seededChance(`${target.name} ${options.seed}`);
  const pool = [...options.pool];
  const tally: Tally = { executions: 0, accepted: 0, refused: 0 };
  options.guide?.coverage.take(); // what ran before is not these inputs'
  let pending: Uint8Array[] = [];
  let wanted = BATCH;
  while (options.more(tally)) {
    const batch = Array.from({ length: BATCH }, () => freshInput(target, chance, pool));
    const before = allocated();
    for (const input of batch) {
      const outcome = await execute(target, input);
      if (typeof outcome !== 'string') return { tally, flaw: outcome };
      tally.executions++;
      tally[outcome]++;
    }
    const grown = allocated() - before;
    if (grown > MAX_BATCH_BYTES) {
      const message = `${Math.round(grown / 1e6)} MB for ${BATCH} inputs, one of which is kept`;
      return { tally, flaw: { input: batch.at(-1)!, what: 'memory', message } };
    }
    if (options.guide === undefined) continue;
    pending.push(...batch);
    if (pending.length < wanted) continue;
    const { coverage, reached } = options.guide;
    const fresh = reached.add(coverage.take());
    for (const input of await bringers(target, coverage, pending, fresh)) {
      pool.push(input);
      options.onNews?.(input);
    }
    wanted = fresh.length > 0 ? BATCH : Math.min(MAX_BATCH, 2 * wanted);
    pending = [];
  }
  return { tally, flaw: null };
}

function freshInput(target: Target, chance: Chance, pool: readonly Uint8Array[]): Uint8Array {
  // Later inputs reached something rare: they are chosen more often.
  const from = chance.below(3) === 0 ? pool.slice(-8) : pool;
  return mutate(target, chance, pick(chance, from), pick(chance, pool));
}

/** The inputs that reach these blocks, found by halves and cut short; one for each block at least. */
async function bringers(
  target: Target,
  coverage: Coverage,
  inputs: readonly Uint8Array[],
  blocks: readonly Block[],
): Promise<Uint8Array[]> {
  if (blocks.length === 0 || inputs.length === 0) return [];
  coverage.take();
  for (const input of inputs) await execute(target, input);
  const reading = coverage.take();
  const here = blocks.filter((block) => covers(reading, block));
  if (here.length === 0) return [];
  if (inputs.length === 1) return [await shrink(target, coverage, inputs[0]!, here)];
  const middle = inputs.length >> 1;
  const first = await bringers(target, coverage, inputs.slice(0, middle), here);
  const rest = first.length === 0 ? here : await unreached(target, coverage, first, here);
  return [...first, ...(await bringers(target, coverage, inputs.slice(middle), rest))];
}

async function unreached(
  target: Target,
  coverage: Coverage,
  inputs: readonly Uint8Array[],
  blocks: readonly Block[],
): Promise<Block[]> {
  coverage.take();
  for (const input of inputs) await execute(target, input);
  const reading = coverage.take();
  return blocks.filter((block) => !covers(reading, block));
}

/** Cuts pieces off while the input still reaches the same blocks. */
async function shrink(
  target: Target,
  coverage: Coverage,
  input: Uint8Array,
  blocks: readonly Block[],
): Promise<Uint8Array> {
  // JSON without a piece is no JSON: it would be refused at once. And what is short is short enough.
  if (target.form.includes('json') || input.length <= 64) return input;
  let small = input;
  let tries = 0;
  coverage.take();
  for (let piece = Math.ceil(small.length / 2); piece >= 1 && tries < 16; piece = Math.floor(piece / 2)) {
    for (let at = 0; at < small.length && tries < 16; tries++) {
      const shorter = join(small.subarray(0, at), small.subarray(at + piece));
      const outcome = await execute(target, shorter);
      const reading = coverage.take();
      if (typeof outcome === 'string' && blocks.every((block) => covers(reading, block))) small = shorter;
      else at += piece;
    }
  }
  return small;
}

/** Largest input of the kept corpus, in bytes; flaws are kept whatever they weigh. */
const MAX_KEPT_BYTES = 2047;

/** The smallest inputs first, each kept only if it reaches blocks that those before it and the seeds do not. */
export async function distil(
  target: Target,
  coverage: Coverage,
  seeds: readonly Uint8Array[],
  inputs: readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const reached = new Reached();
  const add = async (input: Uint8Array): Promise<boolean> => {
    coverage.take();
    await execute(target, input);
    return reached.add(coverage.take()).length > 0;
  };
  for (const seed of seeds) await add(seed);
  const kept: Uint8Array[] = [];
  for (const input of inputs.toSorted((a, b) => a.length - b.length)) {
    if (input.length <= MAX_KEPT_BYTES && (await add(input))) kept.push(input);
  }
  return kept;
}
