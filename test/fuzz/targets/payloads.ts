import { bytesEqual, utf8 } from '../../../crypto/encoding.ts';
import type { RingEngine } from '../../../crypto/engine.ts';
import { CryptoError } from '../../../crypto/errors.ts';
import { deriveParameters, ringShape } from '../../../crypto/params.ts';
import {
  ciphertextBytes,
  parmsIdOf,
  parseCiphertext,
  parsePlaintext,
  plaintextBytes,
} from '../../../crypto/seal-format.ts';
import { nodePrimitives as p } from '../../../src/platform/primitives-node.ts';
import { bothEngines } from '../../reference/engines.ts';
import { law, type Target } from '../target.ts';

const parameters = deriveParameters({
  dimension: 60,
  bits: 16,
  nodesMax: 16,
  minCohort: 2,
  minHonest: 2,
  members: 3,
  threshold: 2,
});
const L = parameters.lastBlockCoefficients;
const stream = (name: string) => (index: number, length: number) =>
  p.aes256Ctr(p.sha256(utf8(`${name} ${index}`)), length);

let engines: [RingEngine, RingEngine] | undefined;

/** A node's block, and one of residues that are as large as they may be. */
async function blocks(): Promise<Uint8Array[]> {
  engines ??= await bothEngines(ringShape(parameters));
  const [engine] = engines;
  using sealer = engine.sealer(new Int16Array(parameters.ringDegree).fill(1));
  const noise = { first: (n: number) => stream('first')(0, n), rest: (n: number) => stream('rest')(0, n) };
  const block = sealer.seal(new Int32Array(60).fill(-7), L, stream('a'), noise);
  return [block, new Uint8Array(block.length)];
}

/** What both engines say to one block added to nothing. */
function verdict(engine: RingEngine, input: Uint8Array): string {
  using sum = engine.sum(L);
  try {
    sum.add(input);
  } catch (error) {
    if (error instanceof CryptoError) return error.code;
    throw error;
  }
  law(bytesEqual(sum.wire(), input), 'the sum of one block is that block');
  return 'added';
}

function opens(engine: RingEngine, input: Uint8Array): string {
  using opener = engine.opener(new Int32Array(parameters.ringDegree).fill(1));
  try {
    return String(opener.open(input, L, stream('a'), new Int32Array(60)));
  } catch (error) {
    if (error instanceof CryptoError) return error.code;
    throw error;
  }
}

const level = { parmsId: p.sha256(utf8('level')), degree: 8, primes: 2 };
const polynomial = Uint32Array.from({ length: 16 }, (_, i) => i * 12_345);

export const payloads: readonly Target[] = [
  {
    name: 'block',
    reads: 'payload blocks, by both engines',
    slowdown: 10,
    form: 'bytes',
    seeds: blocks,
    refusals: {},
    run(input) {
      const [reference, kernel] = engines!;
      const said = verdict(kernel, input);
      law(said === verdict(reference, input), 'both engines say the same');
      law(['added', 'BAD_LENGTH', 'RESIDUE_OUT_OF_RANGE'].includes(said), 'a refusal has its own code');
      return said === 'added';
    },
  },
  {
    name: 'opening',
    reads: 'sums that are opened with a key, by both engines',
    slowdown: 100,
    form: 'bytes',
    seeds: blocks,
    refusals: {},
    run(input) {
      const [reference, kernel] = engines!;
      const said = opens(kernel, input);
      law(said === opens(reference, input), 'both engines say the same');
      return said === 'true' || said === 'false';
    },
  },
  {
    name: 'seal-ciphertext',
    reads: 'SEAL ciphertexts',
    form: 'bytes',
    seeds: () => [true, false].map((ntt) => ciphertextBytes(level, ntt, [polynomial, polynomial])),
    refusals: { CryptoError: ['ENGINE_FAILED'] },
    run(input) {
      parmsIdOf(input);
      const words = parseCiphertext(input, level, 2);
      const again = ciphertextBytes(level, input[48] === 1, [words.slice(0, 16), words.slice(16)]);
      law(bytesEqual(again, input), 'what is accepted re-encodes equal');
      return true;
    },
  },
  {
    name: 'seal-plaintext',
    reads: 'SEAL plaintexts and keys',
    form: 'bytes',
    seeds: () => [plaintextBytes(level, polynomial)],
    refusals: { CryptoError: ['ENGINE_FAILED'] },
    run(input) {
      law(bytesEqual(plaintextBytes(level, parsePlaintext(input, level)), input), 'what is accepted re-encodes equal');
      return true;
    },
  },
];
