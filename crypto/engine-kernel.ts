import type {
  BlockChecksum,
  BlockOpener,
  BlockSealer,
  BlockSum,
  GaussianStream,
  PublicStream,
  RingEngine,
  RingShape,
} from './engine.ts';
import { KernelMemory } from './kernel-module.ts';
import { KernelOpener } from './kernel-opening.ts';
import { KernelRing } from './kernel-ring.ts';
import { drawErrors, findTies, KernelSealer } from './kernel-sealing.ts';
import { KernelChecksum, KernelSum } from './kernel-sums.ts';
import { resolveTies } from './key-sampler.ts';
import { wireBytes } from './packing.ts';
import { wipe } from './secret.ts';

/**
 * The fast ring engine: crypto/kernel, compiled to WebAssembly SIMD. Equal to node-seal's word for word (engine.ts says
 * what each method must do; docs/kernel.md how this one does it). Secrets live in its memory only while a call runs,
 * keys until their sealer or opener is disposed of; both are wiped. No branch or address depends on a secret, ties of
 * the sampler excepted (key-sampler.ts).
 *
 * @param module - the compiled build/kernel.wasm.
 * @throws CryptoError ENGINE_FAILED for a ring that the kernel does not serve.
 */
export async function createKernelEngine(module: WebAssembly.Module, shape: RingShape): Promise<RingEngine> {
  return new KernelEngine(new KernelRing(await KernelMemory.instantiate(module), shape));
}

class KernelEngine implements RingEngine {
  readonly name = 'kernel';
  readonly shape: RingShape;
  readonly #ring: KernelRing;

  constructor(ring: KernelRing) {
    this.shape = ring.shape;
    this.#ring = ring;
  }

  wireBytes(coefficients: number): number {
    return wireBytes(this.shape, coefficients);
  }

  sampleGaussian(stream: GaussianStream, out: Int16Array): void {
    const { degree } = this.shape;
    const { memory, errors } = this.#ring;
    const bytes = stream.first(4 * out.length);
    const ties: number[] = [];
    for (let start = 0; start < out.length; start += degree) {
      const count = Math.min(degree, out.length - start);
      const part = bytes.subarray(4 * start, 4 * (start + count));
      if (drawErrors(this.#ring, part, count)) ties.push(...findTies(part).map((c) => start + c));
      out.set(memory.shorts(errors, count), start);
    }
    memory.wipe(errors, 2 * degree);
    resolveTies(stream, bytes, ties, out);
    wipe(bytes);
  }

  sealer(key: Int16Array): BlockSealer {
    return new KernelSealer(this.#ring, key);
  }

  sum(coefficients: number): BlockSum {
    return new KernelSum(this.#ring, coefficients);
  }

  opener(key: Int32Array): BlockOpener {
    return new KernelOpener(this.#ring, key);
  }

  checksum(rows: number, challenge: PublicStream): BlockChecksum {
    return new KernelChecksum(this.#ring, rows, challenge);
  }

  [Symbol.dispose](): void {
    this.#ring.memory[Symbol.dispose]();
  }
}
