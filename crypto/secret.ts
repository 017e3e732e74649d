import { CryptoError } from './errors.ts';

/**
 * Overwrites a buffer with zeros. JavaScript cannot promise that the runtime made no copy (a moving collector, a
 * register spill): wiping shortens the time a secret is in memory, it does not prove its absence.
 */
export function wipe(view: ArrayBufferView): void {
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength).fill(0);
}

/**
 * A secret with an owner and an end. Declare it with `using` and it is wiped when the scope is left, on errors too.
 *
 * Laws: after `wipe()` the buffer is all zero and `bytes` throws; printing, logging and JSON show the name only.
 */
export class SecretBytes implements Disposable {
  readonly name: string;
  #bytes: Uint8Array;
  #wiped = false;

  /**
   * @param name - what it is, public; shows up wherever the object is printed.
   * @param bytes - taken over, not copied: the caller must not keep or reuse the buffer.
   */
  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.#bytes = bytes;
  }

  /**
   * The secret itself, for passing on to a primitive at once. Never store the view.
   *
   * @throws CryptoError ALREADY_WIPED
   */
  get bytes(): Uint8Array {
    if (this.#wiped) throw new CryptoError('ALREADY_WIPED', 'this secret has been wiped');
    return this.#bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  get wiped(): boolean {
    return this.#wiped;
  }

  /** Zeroes the buffer; a second call does nothing. */
  wipe(): void {
    wipe(this.#bytes);
    this.#wiped = true;
  }

  [Symbol.dispose](): void {
    this.wipe();
  }

  toString(): string {
    return `[secret ${this.name}]`;
  }

  toJSON(): string {
    return this.toString();
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString();
  }

  /** True when both hold the same bytes. Time depends on the lengths only, never on the content. */
  static equals(a: SecretBytes | Uint8Array, b: SecretBytes | Uint8Array): boolean {
    const left = a instanceof SecretBytes ? a.bytes : a;
    const right = b instanceof SecretBytes ? b.bytes : b;
    if (left.length !== right.length) return false;
    let difference = 0;
    for (let i = 0; i < left.length; i++) difference |= left[i]! ^ right[i]!;
    return difference === 0;
  }
}
