/**
 * The ring engine: everything that grows with the model and touches R_q = Z_q[X]/(X^N+1), one block of N coefficients
 * at a time. Two implementations, equal word for word and mixed freely in one round: `engine-seal.ts` (node-seal, the
 * reference) and `engine-kernel.ts` (AssemblyScript SIMD, `createKernelEngine(shape): Promise<RingEngine>`).
 *
 * An engine draws no randomness and knows no keys beyond the ones it was handed: keystreams are asked for through
 * callbacks, because AES-256-CTR belongs to the platform's `Primitives`. All methods are synchronous; an engine and what
 * it made belong to one thread.
 *
 * The three formats that both engines must share:
 *
 * **Slots.** A block of L coefficients (L a multiple of 128) carries up to v*L values; value s*L + c sits in slot s of
 * coefficient c: m[c] = sum_s value[s*L + c] * 2^(w*s), absent values being zero. (Slot-major, so that four neighbouring
 * coefficients are four neighbouring 32-bit words.)
 *
 * **Wire.** Coefficient form, not NTT form. For each prime in order, the L residues in [0, q) at b = ceil(log2 q) bits,
 * in groups of 128 laid out in four lanes (SIMD-BP128: Lemire and Boytsov, SPE 2015): residue 4*i + lane of a group is
 * the i-th b-bit little-endian field of its lane's bit stream, and 32-bit word k of lane l is word 4*k + l of the group,
 * little-endian. A group is exactly 16*b bytes, so there are no padding bits.
 *
 * **Uniform residues.** Little-endian 32-bit words of a keystream, each cut to its low b bits; those >= q are skipped;
 * the first N that remain are the N residues. For a_j they are its NTT form (SEAL's order: Harvey's bit-reversed
 * Cooley-Tukey with the minimal primitive 2N-th root of unity).
 */

/** What an engine must know about a round's ring. Derived in `params.ts`; never taken from a peer. */
export interface RingShape {
  /** N: 4096, 8192 or 16384. */
  readonly degree: number;
  /** Distinct primes, each below 2^30 and 1 mod 2N; their product is Q. */
  readonly primes: readonly number[];
  /** Bits of one node's signed value, at most 28: |x| < 2^(valueBits-1), so that v products with a prime fit 63 bits. */
  readonly valueBits: number;
  /** w: bits of a signed slot, at most 32; above valueBits by the bits of the number of nodes. */
  readonly slotBits: number;
  /** v: values per coefficient; v*w + 1 + logDelta <= log2 Q. */
  readonly slotsPerCoefficient: number;
  /** log2 Delta. */
  readonly logDelta: number;
  /** B: the largest summed error that may be opened; Delta >= 4B. */
  readonly errorBound: number;
}

/** The first `length` bytes of the keystream of one prime (index into `primes`). Longer calls extend shorter ones. */
export type PublicStream = (prime: number, length: number) => Uint8Array;

/**
 * Randomness of discrete Gaussian samples (`key-sampler.ts`): sample c is a function of 128 secret bits, the 32-bit word
 * c of `first` and the 96 bits at byte 12*c of `rest`. `rest` is asked for only when a first word ties with a threshold
 * (probability below 2^-25 per sample), so that it is hardly ever expanded. Buffers are handed over: the engine wipes
 * them when it has read them.
 */
export interface GaussianStream {
  /** @param length - bytes; 4 per sample. */
  first(length: number): Uint8Array;
  /** @param length - bytes; 12 per sample. */
  rest(length: number): Uint8Array;
}

export interface RingEngine extends Disposable {
  readonly name: 'kernel' | 'node-seal';
  readonly shape: RingShape;

  /** Bytes of L coefficients on the wire: sum over the primes of L/128 * 16 * ceil(log2 q). */
  wireBytes(coefficients: number): number;

  /** Discrete Gaussian, sigma 6.4: one sample per element of `out`. Secret bytes in, secret values out; none kept. */
  sampleGaussian(stream: GaussianStream, out: Int16Array): void;

  /**
   * Encrypts under a short one-time key: c = -a*k + e + Delta*m mod Q.
   * Noise: e alone, sigma 6.4. The engine copies the key (and its NTT form) and wipes both on dispose.
   * @param key - N coefficients, |k| < 2^15.
   */
  sealer(key: Int16Array): BlockSealer;

  /** A running sum of blocks of L coefficients, zero at first. Order never matters. */
  sum(coefficients: number): BlockSum;

  /**
   * Decrypts sums under K, the sum of their keys. The engine copies K and wipes it on dispose.
   * @param key - N coefficients, |K| < 2^24.
   */
  opener(key: Int32Array): BlockOpener;

  /**
   * Linear checksums of payloads, `rows` residues per prime.
   * @param rows - independent checksums R (6).
   * @param challenge - streams of the R*primes vectors u of N uniform residues; index row*primes + prime.
   */
  checksum(rows: number, challenge: PublicStream): BlockChecksum;
}

export interface BlockSealer extends Disposable {
  /**
   * @param values - up to v*L values, each |x| < 2^(valueBits-1); the rest of the block counts as zero. Not kept.
   * @param coefficients - L, a multiple of 128, at most N. The product a*k is always taken over all N.
   * @param a - keystreams of the public element a_j, one per prime.
   * @param error - randomness of e; L samples are drawn.
   * @returns the block's wire bytes, the caller's own copy.
   * @throws CryptoError OUT_OF_RANGE if any value is too large (all are looked at first), BAD_LENGTH.
   */
  seal(values: Int32Array, coefficients: number, a: PublicStream, error: GaussianStream): Uint8Array;
}

export interface BlockSum extends Disposable {
  /**
   * Adds a packed block. A refusal changes nothing.
   * (Unpack, add and fold in one pass; if a residue turned out to be >= q, the same pass backwards restores the sum.)
   * @throws CryptoError BAD_LENGTH, RESIDUE_OUT_OF_RANGE.
   */
  add(wire: Uint8Array): void;
  /** The sum's wire bytes, the caller's own copy. */
  wire(): Uint8Array;
}

export interface BlockOpener extends Disposable {
  /**
   * x = c + a*K mod Q, lifted to (-Q/2, Q/2); x = Delta*m + remainder with the remainder in [-Delta/2, Delta/2); m in
   * signed digits base 2^w, each in [-2^(w-1), 2^(w-1)).
   * @param values - receives exactly values.length <= v*L values; slots beyond them must be zero in every coefficient.
   * @returns whether every |remainder| <= B, the digits leave no carry, and the unused slots are zero. When false,
   *   `values` has been zeroed. Constant shape: all L coefficients are looked at either way.
   * @throws CryptoError BAD_LENGTH, RESIDUE_OUT_OF_RANGE.
   */
  open(wire: Uint8Array, coefficients: number, a: PublicStream, values: Int32Array): boolean;
}

export interface BlockChecksum extends Disposable {
  /**
   * For each row r and prime q: value[r][q] += weights[r][q] * sum_c u[r][q][c] * block[q][c]  mod q, over c < L.
   * @param weights - rows*primes residues, row-major.
   * @throws CryptoError BAD_LENGTH, RESIDUE_OUT_OF_RANGE (then nothing is changed).
   */
  add(weights: Uint32Array, wire: Uint8Array, coefficients: number): void;
  /** rows*primes residues, row-major; the caller's own copy. */
  value(): Uint32Array;
}
