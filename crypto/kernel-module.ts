import { CryptoError } from './errors.ts';

/** An address in the kernel's memory. */
export type Address = number;

/** The kernel's exports; crypto/kernel states each one's contract, units and ranges. */
export interface KernelExports {
  readonly memory: WebAssembly.Memory;
  heapStart(): Address;
  tableBytes(degree: number): number;
  initTables(at: Address, prime: number, degree: number): number;
  minimalRoot(prime: number, degree: number): number;
  forwardTransform(vector: Address, tables: Address, degree: number): void;
  inverseTransform(vector: Address, tables: Address, degree: number): void;
  multiplyVectors(out: Address, x: Address, y: Address, tables: Address, words: number): void;
  addVectors(out: Address, x: Address, y: Address, tables: Address, words: number): void;
  addVectorsAndConstant(out: Address, x: Address, y: Address, constant: number, tables: Address, words: number): void;
  subtractVectors(out: Address, x: Address, y: Address, tables: Address, words: number): void;
  scaleSigned(out: Address, key: Address, factor: number, tables: Address, words: number): void;
  innerProduct(x: Address, y: Address, tables: Address, words: number): number;
  multiplyAddPublic(x: number, y: number, z: number, prime: number): number;
  largestMagnitude(x: Address, words: number): number;
  expandUniform(
    out: Address,
    have: number,
    wanted: number,
    source: Address,
    words: number,
    bits: number,
    tables: Address,
  ): number;
  sampleTops(out: Address, words: Address, count: number, tops: Address, thresholds: number): number;
  addMessage(
    residues: Address,
    values: Address,
    stride: number,
    weights: Address,
    slots: number,
    errors: Address,
    count: number,
    tables: Address,
  ): void;
  toMixedRadix(planes: Address, stride: number, primes: number, count: number, steps: Address): void;
  readSlots(
    planes: Address,
    stride: number,
    primes: number,
    count: number,
    limbs: Address,
    limbCount: number,
    out: Address,
    outStride: number,
  ): number;
  addPacked(sum: Address, at: Address, groups: number, prime: number, bits: number): number;
  readPacked(out: Address, at: Address, groups: number, bits: number): number;
  writePacked(at: Address, x: Address, groups: number, bits: number): void;
}

const ALIGNMENT = 64;
const PAGE = 65536;

/**
 * One instance of the kernel and the layout of its memory: regions of any size, 64-byte aligned, zero when handed out,
 * wiped and kept for the next one of their size when disposed of. Nothing can be reached once the memory is disposed of.
 */
export class KernelMemory implements Disposable {
  readonly kernel: KernelExports;
  #end: Address;
  #bytes = new Uint8Array();
  #closed = false;
  readonly #free = new Map<number, Address[]>();

  /** @param module - the compiled build/kernel.wasm; reading it is the platform's business. */
  static async instantiate(module: WebAssembly.Module): Promise<KernelMemory> {
    const abort = (): never => {
      throw new CryptoError('ENGINE_FAILED', 'the kernel aborted');
    };
    const instance = await WebAssembly.instantiate(module, { env: { abort } });
    return new KernelMemory(instance.exports as unknown as KernelExports);
  }

  private constructor(kernel: KernelExports) {
    this.kernel = kernel;
    this.#end = align(kernel.heapStart());
  }

  /**
   * All of the memory. Fetch it anew after every `allocate`: growing detaches older views.
   *
   * @throws CryptoError ALREADY_WIPED after disposal.
   */
  get bytes(): Uint8Array {
    this.#requireOpen();
    if (this.#bytes.buffer !== this.kernel.memory.buffer) this.#bytes = new Uint8Array(this.kernel.memory.buffer);
    return this.#bytes;
  }

  /** A region of zeros for as long as its owner keeps it. @throws CryptoError ENGINE_FAILED when 4 GiB are used up. */
  allocate(bytes: number): Address {
    this.#requireOpen();
    const size = align(bytes);
    const reused = this.#free.get(size)?.pop();
    if (reused !== undefined) return reused;
    const at = this.#end;
    const missing = at + size - this.kernel.memory.buffer.byteLength;
    if (missing > 0) {
      try {
        // Grow by a quarter at least, so that many small regions do not mean many detached views.
        this.kernel.memory.grow(Math.ceil(Math.max(missing, Math.min(at / 4, 2 ** 26)) / PAGE));
      } catch (cause) {
        throw new CryptoError('ENGINE_FAILED', 'the kernel is out of memory', { cause });
      }
    }
    this.#end = at + size;
    return at;
  }

  /** As `allocate`, with an end. */
  region(bytes: number): KernelRegion {
    const at = this.allocate(bytes);
    return new KernelRegion(this, at, bytes, () => {
      const size = align(bytes);
      const list = this.#free.get(size);
      if (list) list.push(at);
      else this.#free.set(size, [at]);
    });
  }

  wipe(at: Address, bytes: number): void {
    this.bytes.fill(0, at, at + bytes);
  }

  get closed(): boolean {
    return this.#closed;
  }

  #requireOpen(): void {
    if (this.#closed) throw new CryptoError('ALREADY_WIPED', 'the engine has been disposed of');
  }

  words(at: Address, count: number): Uint32Array {
    return new Uint32Array(this.kernel.memory.buffer, at, count);
  }

  signedWords(at: Address, count: number): Int32Array {
    return new Int32Array(this.kernel.memory.buffer, at, count);
  }

  shorts(at: Address, count: number): Int16Array {
    return new Int16Array(this.kernel.memory.buffer, at, count);
  }

  /** Zeroes everything that was ever handed out; a second call does nothing. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.bytes.fill(0, this.kernel.heapStart());
    this.#closed = true;
  }
}

/** Memory with an owner and an end. What it held is wiped, and its address refused, from then on. */
export class KernelRegion implements Disposable {
  readonly #memory: KernelMemory;
  readonly #at: Address;
  readonly #bytes: number;
  readonly #giveBack: () => void;
  #disposed = false;

  constructor(memory: KernelMemory, at: Address, bytes: number, giveBack: () => void) {
    this.#memory = memory;
    this.#at = at;
    this.#bytes = bytes;
    this.#giveBack = giveBack;
  }

  /** @throws CryptoError ALREADY_WIPED: a key that is gone must not be mistaken for a key of zeros. */
  get at(): Address {
    if (this.#disposed) throw new CryptoError('ALREADY_WIPED', 'this part of the engine has been disposed of');
    return this.#at;
  }

  wipe(): void {
    this.#memory.wipe(this.at, this.#bytes);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#memory.closed) return;
    this.#memory.wipe(this.#at, this.#bytes);
    this.#giveBack();
  }
}

function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}
