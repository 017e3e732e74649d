import { CryptoError } from './errors.ts';

/**
 * Overwrites a buffer with zeros. JavaScript cannot promise that the runtime made no copy (a moving collector, a
 * register spill): wiping shortens the time a secret is in memory, it does not prove its absence.
 */
export function wipe(view: ArrayBufferView): void {
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength).fill(0);
}

const GONE = new Uint8Array(0);

/**
 * A secret with an owner and an end. Declare it with `using` and it is wiped when the scope is left, on errors too.
 *
 * Laws: after `wipe()` the buffer is all zero and `bytes` throws; printing, logging and JSON show the name only.
 */
export class SecretBytes implements Disposable {
  readonly name: string;
  readonly length: number;
  #bytes: Uint8Array;
  #wiped = false;
  readonly #derived = new Map<string, SecretBytes>();

  /**
   * @param name - what it is, public; shows up wherever the object is printed.
   * @param bytes - taken over, not copied: the caller must not keep or reuse the buffer.
   */
  constructor(name: string, bytes: Uint8Array) {
    this.name = name;
    this.length = bytes.length;
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

  get wiped(): boolean {
    return this.#wiped;
  }

  /**
   * A secret that follows from this one, computed at the first use, kept, and wiped together with this one. For what is
   * needed again and again under one key, such as a round key's expansion.
   *
   * @param name - says which; two derivations of one secret need two names.
   * @param make - from this secret's bytes to a new buffer, taken over.
   * @throws CryptoError ALREADY_WIPED
   */
  derived(name: string, make: (bytes: Uint8Array) => Uint8Array): SecretBytes {
    if (this.#wiped) throw new CryptoError('ALREADY_WIPED', 'this secret has been wiped');
    let secret = this.#derived.get(name);
    if (secret === undefined) {
      secret = new SecretBytes(name, make(this.bytes));
      this.#derived.set(name, secret);
    }
    return secret;
  }

  /** Zeroes the buffer and lets go of it, and of all that was derived; a second call does nothing. */
  wipe(): void {
    for (const secret of this.#derived.values()) secret.wipe();
    wipe(this.#bytes);
    this.#bytes = GONE;
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
