import {
  ACCEPT_WORDS, BATCH, END, EXTENSIONS, FACTORS, FLAGS, HIGH, KEPT, LOW, LOW_WORDS, OUTPUT, RANDOM, RANDOM_END, SLOTS,
  TABLE_WORDS, VALUES,
} from './noise-layout';

/**
 * Discrete Gaussian over the integers, one batch of candidates at a time. AssemblyScript with SIMD; own module, no runtime.
 *
 * Law (proof in crypto/docs/noise.md): with k = 2^shift, x half-Gaussian from the table, u uniform below k and
 * t = u (u + 2 k x), the candidate k x + u is kept with probability exp(-t / 2 sigma^2) and given a random sign (0 and
 * "minus" is dropped). What is kept is D_{Z,sigma} exactly, up to the 128-bit rounding of the tables.
 *
 * Every candidate is first judged with 64 bits (table) and doubles (exponential; add, subtract, multiply, floor only, none
 * of them on subnormals). A verdict that these cannot settle is flagged and judged again with 128 bits by `judge`, which
 * runs once per batch whether or not anything was flagged.
 * No branch and no address depends on a secret: which candidates are dropped is independent of the values that are kept.
 */

let entries: i32 = 0;
let shift: i32 = 0;
let factorCount: i32 = 0;
let rate: f64 = 0;

// What `judge` works on and leaves behind.
let chosenTable: u64 = 0;
let chosenAccept: u64 = 0;
let chosenLow: u64 = 0;
let judgedValue: i32 = 0;
let judgedKept: i32 = 0;

export function batchSize(): i32 { return BATCH; }
export function slots(): i32 { return SLOTS; }
export function highAddress(): usize { return HIGH; }
export function lowAddress(): usize { return LOW; }
export function factorAddress(): usize { return FACTORS; }
export function randomAddress(): usize { return RANDOM; }
export function randomBytes(): usize { return RANDOM_END - RANDOM; }
export function flagAddress(): usize { return FLAGS; }
export function valueAddress(): usize { return VALUES; }
export function keptAddress(): usize { return KEPT; }
export function outputAddress(): usize { return OUTPUT; }

/**
 * Sets the public shape of the distribution and takes the memory; the caller then writes the tables.
 * @param tableEntries - thresholds in HIGH and LOW, at most 32.
 * @param shiftBits - log2 k, at most 22.
 * @param factors - entries of FACTORS: exp(-2^i / 2 sigma^2), 128-bit fractions, low word first; t < 2^factors.
 * @param log2Rate - log2(e) / (2 sigma^2), nearest double.
 */
export function configure(tableEntries: i32, shiftBits: i32, factors: i32, log2Rate: f64): void {
  const pages = <i32>((END + 0xffff) >> 16);
  if (memory.size() < pages) memory.grow(pages - memory.size());
  entries = tableEntries;
  shift = shiftBits;
  factorCount = factors;
  rate = log2Rate;
}

/** (-ln 2)^i / (sqrt(2) i!), nearest doubles, for both lanes: loads are cheaper than constants made in a loop. */
const COEFFICIENTS = memory.data<f64>(
  [
    0.7071067811865476, 0.7071067811865476, -0.4901290717342736, -0.4901290717342736,
    0.16986579209153746, 0.16986579209153746, -0.03924733162061035, -0.03924733162061035,
    0.006801044314331813, 0.006801044314331813, -0.0009428249382684685, -0.0009428249382684685,
    0.00010891940795373224, 0.00010891940795373224, -0.000010785311504483997, -0.000010785311504483997,
    9.344760325992282e-7, 9.344760325992282e-7, -7.196993636633317e-8, -7.196993636633317e-8,
    4.9885758477402514e-9, 4.9885758477402514e-9, -3.1434702580641764e-10, -3.1434702580641764e-10,
    1.815739622126023e-11, 1.815739622126023e-11, -9.68134461313564e-13, -9.68134461313564e-13,
  ],
  16,
);

/** 2^-f for f = h + 1/2 in [0, 1]: Taylor's polynomial of degree 13 around 1/2, odd and even powers in two short chains. */
// @ts-ignore: decorator
@inline
function powerOfTwo(h: v128): v128 {
  const square = f64x2.mul(h, h);
  let odd = v128.load(COEFFICIENTS, 208);
  odd = f64x2.add(f64x2.mul(odd, square), v128.load(COEFFICIENTS, 176));
  odd = f64x2.add(f64x2.mul(odd, square), v128.load(COEFFICIENTS, 144));
  odd = f64x2.add(f64x2.mul(odd, square), v128.load(COEFFICIENTS, 112));
  odd = f64x2.add(f64x2.mul(odd, square), v128.load(COEFFICIENTS, 80));
  odd = f64x2.add(f64x2.mul(odd, square), v128.load(COEFFICIENTS, 48));
  odd = f64x2.add(f64x2.mul(odd, square), v128.load(COEFFICIENTS, 16));
  let even = v128.load(COEFFICIENTS, 192);
  even = f64x2.add(f64x2.mul(even, square), v128.load(COEFFICIENTS, 160));
  even = f64x2.add(f64x2.mul(even, square), v128.load(COEFFICIENTS, 128));
  even = f64x2.add(f64x2.mul(even, square), v128.load(COEFFICIENTS, 96));
  even = f64x2.add(f64x2.mul(even, square), v128.load(COEFFICIENTS, 64));
  even = f64x2.add(f64x2.mul(even, square), v128.load(COEFFICIENTS, 32));
  even = f64x2.add(f64x2.mul(even, square), v128.load(COEFFICIENTS, 0));
  return f64x2.add(f64x2.mul(odd, h), even);
}

/** x = thresholds at or below the table word, 64 bits of each; x to VALUES, ties to FLAGS. */
function search(count: i32): void {
  const end = HIGH + (<usize>entries << 4);
  for (let index: usize = 0; index < <usize>count; index += 4) {
    const first = v128.load(TABLE_WORDS + (index << 3));
    const second = v128.load(TABLE_WORDS + (index << 3) + 16);
    // Comparisons give -1 for true, so these count down.
    let x0 = i64x2.splat(0);
    let x1 = i64x2.splat(0);
    let ties0 = i64x2.splat(0);
    let ties1 = i64x2.splat(0);
    for (let entry = HIGH; entry < end; entry += 16) {
      const threshold = v128.load(entry);
      x0 = i64x2.add(x0, i64x2.gt_s(first, threshold));
      x1 = i64x2.add(x1, i64x2.gt_s(second, threshold));
      ties0 = v128.or(ties0, i64x2.eq(first, threshold));
      ties1 = v128.or(ties1, i64x2.eq(second, threshold));
    }
    v128.store(VALUES + (index << 2), i32x4.neg(v128.shuffle<i32>(x0, x1, 0, 2, 4, 6)));
    v128.store(FLAGS + (index << 2), v128.shuffle<i32>(ties0, ties1, 0, 2, 4, 6));
  }
}

/** Stores the low halves of two 64-bit lanes. */
// @ts-ignore: decorator
@inline
function storePair(address: usize, lanes: v128): void {
  v128.store64_lane(address, v128.shuffle<i32>(lanes, lanes, 0, 2, 0, 2), 0);
}

/** Judges candidates [0, count), count a multiple of 4, and returns how many are flagged. */
export function decide(count: i32): i32 {
  search(count);
  const magic = i64x2.splat(0x4330000000000000); // 2^52 as a double: or-ing an integer below 2^52 into it adds it
  const two52 = f64x2.splat(4503599627370496.0);
  const one = i64x2.splat(0x3ff0000000000000);
  const lowBits = i64x2.splat((<i64>1 << shift) - 1);
  const twoK = f64x2.splat(<f64>(<i64>2 << shift));
  const perUnit = f64x2.splat(rate);
  // 2^-47 covers the proven error 2^-48 of `probability` and the 2^-52 that `uniform` leaves open.
  const window = f64x2.splat(7.105427357601002e-15);
  let flagged = i64x2.splat(0);
  for (let index: usize = 0; index < <usize>count; index += 2) {
    const at = index << 2;
    const x = v128.load_ext<u32>(VALUES + at);
    const word = v128.load_ext<u32>(LOW_WORDS + at);
    const u = v128.and(word, lowBits);
    const uDouble = f64x2.sub(v128.or(u, magic), two52);
    const xDouble = f64x2.sub(v128.or(x, magic), two52);
    const t = f64x2.mul(uDouble, f64x2.add(uDouble, f64x2.mul(xDouble, twoK)));
    const g = f64x2.mul(t, perUnit);
    const whole = f64x2.floor(g);
    const fraction = powerOfTwo(f64x2.sub(f64x2.sub(g, whole), f64x2.splat(0.5)));
    const power = i64x2.sub(one, i64x2.shl(f64x2.add(whole, two52), 52));
    const probability = f64x2.mul(fraction, power);

    const random = v128.load(ACCEPT_WORDS + (index << 3));
    const uniform = f64x2.sub(v128.or(i64x2.shr_u(random, 12), one), f64x2.splat(1));
    const difference = f64x2.sub(probability, uniform);
    const flags = v128.or(v128.load_ext<i32>(FLAGS + at), f64x2.lt(f64x2.abs(difference), window));
    flagged = i64x2.sub(flagged, flags);
    storePair(FLAGS + at, flags);

    const minus = i64x2.neg(i64x2.shr_u(word, 31));
    const magnitude = i64x2.add(i64x2.shl(x, shift), u);
    const minusZero = v128.and(i64x2.eq(magnitude, i64x2.splat(0)), minus);
    storePair(KEPT + at, v128.andnot(f64x2.gt(difference, f64x2.splat(0)), minusZero));
    storePair(VALUES + at, i64x2.sub(v128.xor(magnitude, minus), minus));
  }
  return <i32>(i64x2.extract_lane(flagged, 0) + i64x2.extract_lane(flagged, 1));
}

/** High 64 bits of a * b. */
// @ts-ignore: decorator
@inline
function multiplyHigh(a: u64, b: u64): u64 {
  const a0 = a & 0xffffffff;
  const a1 = a >> 32;
  const b0 = b & 0xffffffff;
  const b1 = b >> 32;
  const middle = a1 * b0 + ((a0 * b0) >> 32);
  const cross = a0 * b1 + (middle & 0xffffffff);
  return a1 * b1 + (middle >> 32) + (cross >> 32);
}

/** The 128-bit verdict on the chosen candidate: the definition that `decide` approximates. */
function judge(tableExtension: u64, acceptExtension: u64): void {
  // Table words are compared as signed integers; adding 2^63 to both sides makes that unsigned.
  const word = chosenTable ^ 0x8000000000000000;
  let x: u64 = 0;
  for (let entry: i32 = 0; entry < entries; entry++) {
    const high = load<u64>(HIGH + (<usize>entry << 4)) ^ 0x8000000000000000;
    const low = load<u64>(LOW + (<usize>entry << 3));
    x += <u64>(word > high) | (<u64>(word == high) & <u64>(tableExtension >= low));
  }
  const u = chosenLow & ((<u64>1 << shift) - 1);
  const t = u * (u + (x << (shift + 1)));
  // exp(-t / 2 sigma^2) as a product over the bits of t; 1 is written 1 - 2^-128.
  let high: u64 = 0xffffffffffffffff;
  let low: u64 = 0xffffffffffffffff;
  for (let bit: i32 = 0; bit < factorCount; bit++) {
    const factorLow = load<u64>(FACTORS + (<usize>bit << 4));
    const factorHigh = load<u64>(FACTORS + (<usize>bit << 4) + 8);
    const part0 = high * factorHigh;
    const part1 = part0 + multiplyHigh(high, factorLow);
    const part2 = part1 + multiplyHigh(low, factorHigh);
    const top = multiplyHigh(high, factorHigh) + <u64>(part1 < part0) + <u64>(part2 < part1);
    const mask = <u64>0 - ((t >> bit) & 1);
    high ^= (high ^ top) & mask;
    low ^= (low ^ part2) & mask;
  }
  const below = <i32>(chosenAccept < high) | (<i32>(chosenAccept == high) & <i32>(acceptExtension < low));
  const minus = <i32>(chosenLow >> 31) & 1;
  const magnitude = <i32>((x << shift) + u);
  judgedKept = -(below & ~(<i32>(magnitude == 0) & minus));
  judgedValue = (magnitude ^ -minus) + minus;
}

/** Scans for the first flagged candidate and copies its random words out; none: `count` and zeros. Fixed access pattern. */
function choose(count: i32): i32 {
  let lanes = i32x4(0, 1, 2, 3);
  let first = i32x4.splat(count);
  for (let at: usize = 0; at < <usize>count << 2; at += 16) {
    const flagged = v128.load(FLAGS + at);
    first = i32x4.min_u(first, v128.or(v128.and(flagged, lanes), v128.andnot(i32x4.splat(count), flagged)));
    lanes = i32x4.add(lanes, i32x4.splat(4));
  }
  first = i32x4.min_u(first, v128.shuffle<i32>(first, first, 2, 3, 0, 1));
  first = i32x4.min_u(first, v128.shuffle<i32>(first, first, 1, 0, 3, 2));
  const chosen = i32x4.extract_lane(first, 0);

  const wanted = i64x2.splat(<i64>chosen);
  let index = i64x2(0, 1);
  let table = i64x2.splat(0);
  let accept = i64x2.splat(0);
  let lowWord = i64x2.splat(0);
  for (let at: usize = 0; at < <usize>count; at += 2) {
    const mask = i64x2.eq(index, wanted);
    table = v128.or(table, v128.and(mask, v128.load(TABLE_WORDS + (at << 3))));
    accept = v128.or(accept, v128.and(mask, v128.load(ACCEPT_WORDS + (at << 3))));
    lowWord = v128.or(lowWord, v128.and(mask, v128.load_ext<u32>(LOW_WORDS + (at << 2))));
    index = i64x2.add(index, i64x2.splat(2));
  }
  chosenTable = i64x2.extract_lane(table, 0) | i64x2.extract_lane(table, 1);
  chosenAccept = i64x2.extract_lane(accept, 0) | i64x2.extract_lane(accept, 1);
  chosenLow = i64x2.extract_lane(lowWord, 0) | i64x2.extract_lane(lowWord, 1);
  return chosen;
}

/** Writes the last verdict over candidate `chosen` and clears its flag; `chosen` = count changes nothing. */
function settle(count: i32, chosen: i32): void {
  const wanted = i32x4.splat(chosen);
  const value = i32x4.splat(judgedValue);
  const kept = i32x4.splat(judgedKept);
  let lanes = i32x4(0, 1, 2, 3);
  for (let at: usize = 0; at < <usize>count << 2; at += 16) {
    const mask = i32x4.eq(lanes, wanted);
    v128.store(VALUES + at, v128.bitselect(value, v128.load(VALUES + at), mask));
    v128.store(KEPT + at, v128.bitselect(kept, v128.load(KEPT + at), mask));
    v128.store(FLAGS + at, v128.andnot(v128.load(FLAGS + at), mask));
    lanes = i32x4.add(lanes, i32x4.splat(4));
  }
}

/** Judges the flagged candidates with 128 bits. Runs once even without one; more often with probability under 2^-68 per batch. */
export function resolve(count: i32, flagged: i32): void {
  const rounds = max<i32>(flagged, 1);
  for (let slot: i32 = 0; slot < rounds; slot++) {
    const chosen = choose(count);
    const extension = EXTENSIONS + (<usize>slot << 4);
    judge(load<u64>(extension), load<u64>(extension + 8));
    settle(count, chosen);
  }
}

/** Moves the kept values to the front of OUTPUT and returns how many. The drops are independent of what is kept. */
export function compact(count: i32): i32 {
  let out = OUTPUT;
  for (let at: usize = 0; at < <usize>count << 2; at += 4) {
    store<i32>(out, load<i32>(VALUES + at));
    out += <usize>(load<i32>(KEPT + at) & 4);
  }
  return <i32>((out - OUTPUT) >> 2);
}

/**
 * One batch from the keystream at RANDOM to values at OUTPUT.
 * @returns how many values there are, or -1 when more than SLOTS candidates were flagged (probability under 2^-170).
 */
export function sample(count: i32): i32 {
  const flagged = decide(count);
  if (flagged > SLOTS) return -1;
  resolve(count, flagged);
  return compact(count);
}

/** Overwrites keystream, candidates and output with zeros. */
export function wipe(): void {
  memory.fill(RANDOM, 0, END - RANDOM);
  chosenTable = chosenAccept = chosenLow = 0;
  judgedValue = judgedKept = 0;
}
