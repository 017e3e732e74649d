import { createNoiseSampler } from '../crypto/noise.ts';
import { loadNoiseModule } from '../src/platform/noise-module.ts';
import { nodePrimitives } from '../src/platform/primitives-node.ts';
import { systemRng } from '../src/platform/rng.ts';
import type { BenchRow } from './row.ts';

const SAMPLES = 1_000_000;
const ROUNDS = 15;

/** sigma as printed, and sigma^2 as a fraction. */
const WIDTHS = [
  ['6.4', 1024n, 25n],
  ['50', 2500n, 1n],
  ['2000', 4_000_000n, 1n],
] as const;

/** The thread's own processor time in milliseconds: what "per core" means also while other processes run. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Median milliseconds of `work`, after half a second in which the engine compiles it well. */
function medianMs(work: () => void): number {
  const times: number[] = [];
  for (const warm = performance.now() + 500; performance.now() < warm; ) work();
  for (let i = 0; i < ROUNDS; i += 1) {
    const start = threadMs();
    work();
    times.push(threadMs() - start);
  }
  return times.sort((a, b) => a - b)[ROUNDS >> 1]!;
}

/** Exact discrete Gaussian noise for d = 1e6, a fresh seed each time, against uniform words from the same generator. */
export async function run(): Promise<BenchRow[]> {
  const module = loadNoiseModule();
  const out = new Int32Array(SAMPLES);
  const uniformMs = medianMs(() => {
    const words = nodePrimitives.aes256Ctr(systemRng(32), 4 * SAMPLES);
    out.set(new Int32Array(words.buffer, words.byteOffset, SAMPLES));
  });
  const perSecond = (ms: number) => (SAMPLES / ms) * 1000;
  const rows = WIDTHS.map(([sigma, sigma2Numerator, sigma2Denominator]): BenchRow => {
    const sampler = createNoiseSampler(module, nodePrimitives, { sigma2Numerator, sigma2Denominator });
    const ms = medianMs(() => sampler.sample(systemRng(32), out));
    return {
      name: `sample-sigma-${sigma}`,
      value: perSecond(ms),
      unit: 'samples/s of thread time',
      baseline: `uniform words, ${perSecond(uniformMs).toExponential(2)}/s`,
      ratio: uniformMs / ms,
    };
  });
  const slowest = rows.reduce((a, b) => (a.value < b.value ? a : b));
  return [{ ...slowest, name: 'sample' }, ...rows];
}
