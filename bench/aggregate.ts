import asc from 'assemblyscript/asc';
import { createKernelEngine } from '../crypto/engine-kernel.ts';
import { deriveParameters, ringShape } from '../crypto/params.ts';
import { createEncryptor, createSum, type PayloadContext } from '../crypto/payload.ts';
import { SecretBytes } from '../crypto/secret.ts';
import { loadKernelModule } from '../src/platform/kernel.ts';
import { nodePrimitives } from '../src/platform/primitives-node.ts';
import { systemRng } from '../src/platform/rng.ts';
import type { BenchRow } from './row.ts';

const DIMENSION = 1_000_000;
const UPLOADS = 100;
const REPEATS = 9;

/** What addition costs at least: 32-bit lanes, nothing to unpack, check or reduce, four vectors a turn. */
const PLAIN_LOOP = `
  export function add(sum: usize, x: usize, bytes: usize): void {
    for (const end = sum + bytes; sum < end; sum += 64, x += 64) {
      v128.store(sum, i32x4.add(v128.load(sum), v128.load(x)));
      v128.store(sum, i32x4.add(v128.load(sum, 16), v128.load(x, 16)), 16);
      v128.store(sum, i32x4.add(v128.load(sum, 32), v128.load(x, 32)), 32);
      v128.store(sum, i32x4.add(v128.load(sum, 48), v128.load(x, 48)), 48);
    }
  }
  export function start(): usize { return (__heap_base + 63) & ~63; }
`;

/**
 * Our loop without the modular reduction: as many distinct words, four bytes each, nothing to unpack or check; copied
 * into WASM memory and added, a prime's worth at a time. @returns milliseconds per vector.
 */
async function plainLoop(words: number, chunkWords: number): Promise<() => number> {
  const options = { optimizeLevel: 3, enable: ['simd'], runtime: 'stub', noAssert: true };
  const { binary, stderr } = await asc.compileString(PLAIN_LOOP, options as object);
  if (!binary) throw new Error(stderr.toString());
  const { instance } = await WebAssembly.instantiate(binary as Uint8Array<ArrayBuffer>, { env: { abort() {} } });
  const loop = instance.exports as {
    memory: WebAssembly.Memory;
    add(sum: number, x: number, bytes: number): void;
    start(): number;
  };
  const sum = loop.start();
  const scratch = sum + 4 * words;
  loop.memory.grow(Math.ceil((scratch + 4 * chunkWords) / 65536));
  const memory = new Uint32Array(loop.memory.buffer);
  const vectors = Array.from({ length: UPLOADS }, (_, i) => new Uint32Array(words).fill(i));
  return () => {
    const started = performance.now();
    for (const vector of vectors)
      for (let at = 0; at < words; at += chunkWords) {
        const chunk = vector.subarray(at, at + chunkWords);
        memory.set(chunk, scratch / 4);
        loop.add(sum + 4 * at, scratch, 4 * chunk.length);
      }
    return (performance.now() - started) / UPLOADS;
  };
}

function makeUploads(context: PayloadContext): Uint8Array[][] {
  const { dimension, bits, blocks } = context.parameters;
  const half = 2 ** (bits - 1);
  return Array.from({ length: UPLOADS }, () => {
    const values = Int32Array.from({ length: dimension }, () => Math.floor(Math.random() * (2 * half - 1)) - half + 1);
    using seed = new SecretBytes('seed', systemRng(32));
    using encryptor = createEncryptor(context, values, seed);
    return Array.from({ length: blocks }, (_, j) => encryptor.block(j));
  });
}

/** Bytes of WASM memory that are added for a running sum, by the first upload and by all of them. */
async function sumBytes(context: PayloadContext, uploads: Uint8Array[][]): Promise<{ first: number; all: number }> {
  using engine = await createKernelEngine(loadKernelModule(), context.engine.shape);
  const { grow } = WebAssembly.Memory.prototype;
  let grown = 0;
  WebAssembly.Memory.prototype.grow = function (this: WebAssembly.Memory, pages: number): number {
    grown += 65536 * pages;
    return grow.call(this, pages);
  };
  try {
    using sum = createSum({ ...context, engine });
    const after = uploads.map((blocks) => {
      for (const [j, wire] of blocks.entries()) sum.add(j, wire);
      return grown;
    });
    return { first: after[0]!, all: after.at(-1)! };
  } finally {
    WebAssembly.Memory.prototype.grow = grow;
  }
}

const median = (times: number[]): number => times.sort((a, b) => a - b)[Math.floor(times.length / 2)]!;

/** d = 1e6, 16 bits, 100 distinct packed uploads added to one running sum: copied in, unpacked, checked, added mod q. */
export async function run(): Promise<BenchRow[]> {
  const request = { dimension: DIMENSION, bits: 16, nodesMax: 128, minCohort: 10, minHonest: 5 };
  const parameters = deriveParameters({ ...request, members: 5, threshold: 3 });
  const engine = await createKernelEngine(loadKernelModule(), ringShape(parameters));
  const context = { parameters, engine, recordHash: systemRng(32), primitives: nodePrimitives };
  const uploads = makeUploads(context);
  const words = parameters.coefficients * parameters.primes.length;
  const plain = await plainLoop(words, parameters.ringDegree);

  const memory = await sumBytes(context, uploads);
  const addAll = (): number => {
    using sum = createSum(context);
    const started = performance.now();
    for (const blocks of uploads) for (const [j, wire] of blocks.entries()) sum.add(j, wire);
    return (performance.now() - started) / UPLOADS;
  };
  plain();
  addAll();
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let i = 0; i < REPEATS; i++) {
    ours.push(addAll());
    theirs.push(plain());
  }
  const [ms, plainMs] = [median(ours), median(theirs)];
  const perSecond = (milliseconds: number): number => Math.round((words / milliseconds) * 1000);
  return [
    {
      name: 'add',
      value: perSecond(ms),
      unit: `residues/s, ${ms.toFixed(2)} ms per upload of d=1e6`,
      baseline: `as many distinct 32-bit words, copied in and added without packing, check or reduction: ${perSecond(plainMs)} words/s`,
      ratio: plainMs / ms,
    },
    {
      name: 'memory',
      value: memory.all,
      unit: `bytes for the running sum after ${UPLOADS} uploads`,
      baseline: `after the first upload: ${memory.first} bytes`,
      ratio: memory.first / memory.all,
    },
  ];
}
