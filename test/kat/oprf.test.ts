import { readFileSync } from 'node:fs';
import { ristretto255, ristretto255_oprf } from '@noble/curves/ed25519.js';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../crypto/encoding.ts';
import { addEvaluations, blindInput, finalizeInput, isRightEvaluation } from '../../crypto/oprf.ts';
import type { Rng } from '../../crypto/primitives.ts';

interface Vector {
  readonly Batch: number;
  readonly Blind: string;
  readonly BlindedElement: string;
  readonly EvaluationElement: string;
  readonly Input: string;
  readonly Output: string;
  readonly Proof?: { readonly proof: string; readonly r: string };
}
interface Suite {
  readonly mode: number;
  readonly seed: string;
  readonly keyInfo: string;
  readonly skSm: string;
  readonly pkSm?: string;
  readonly vectors: readonly Vector[];
}

const file = new URL('../vectors/rfc9497-ristretto255.json', import.meta.url);
const { suites } = JSON.parse(readFileSync(file, 'utf8')) as { suites: Suite[] };
const plain = suites.find(({ mode }) => mode === 0)!;
const verifiable = suites.find(({ mode }) => mode === 1)!;

const { Point } = ristretto255;
const { Fn } = Point;
const listOf = (text: string): Uint8Array[] => text.split(',').map((part) => fromHex(part));
const scalarOf = (hex: string): bigint => Fn.fromBytes(fromHex(hex));

/** Randomness from which the library makes the given scalar: it reduces modulo the order less one, and adds one. */
function drawing(hex: string): Rng {
  return (length) => {
    const bytes = new Uint8Array(length);
    bytes.set(Fn.toBytes(scalarOf(hex) - 1n));
    return bytes;
  };
}

/** The published key cut into m keys that add up to it. */
function split(key: bigint, holders: number): bigint[] {
  const random = Array.from({ length: holders - 1 }, (_, i) => Fn.create(0x1234_5678_9abcn ** BigInt(3 + i)));
  return [...random, random.reduce((left, share) => Fn.sub(left, share), key)];
}

describe('RFC 9497, ristretto255-SHA512, verifiable mode', () => {
  it('keys are derived as published', () => {
    for (const suite of [plain, verifiable]) {
      const { deriveKeyPair } = suite.mode === 0 ? ristretto255_oprf.oprf : ristretto255_oprf.voprf;
      const { secretKey, publicKey } = deriveKeyPair(fromHex(suite.seed), fromHex(suite.keyInfo));
      expect(toHex(secretKey)).toBe(suite.skSm);
      if (suite.pkSm !== undefined) expect(toHex(publicKey)).toBe(suite.pkSm);
    }
  });

  it('blinded elements, proofs and outputs are the published ones', () => {
    let checked = 0;
    for (const vector of verifiable.vectors) {
      const inputs = listOf(vector.Input);
      const blinded = inputs.map((input, i) => blindInput(input, drawing(vector.Blind.split(',')[i]!)));
      expect(blinded.map(({ blind }) => toHex(blind)).join()).toBe(vector.Blind);
      const elements = blinded.map(({ element }) => element);
      expect(elements.map(toHex).join()).toBe(vector.BlindedElement);
      const answer = { elements: listOf(vector.EvaluationElement), proof: fromHex(vector.Proof!.proof) };
      expect(isRightEvaluation(fromHex(verifiable.pkSm!), elements, answer)).toBe(true);
      const outputs = inputs.map((input, i) => finalizeInput(input, blinded[i]!.blind, answer.elements[i]!));
      expect(outputs.map(toHex).join()).toBe(vector.Output);
      checked += inputs.length;
    }
    expect(checked).toBe(4);
  });

  it('proofs are made as published', () => {
    for (const { BlindedElement, EvaluationElement, Proof } of verifiable.vectors) {
      const { evaluated, proof } = ristretto255_oprf.voprf.blindEvaluateBatch(
        fromHex(verifiable.skSm),
        fromHex(verifiable.pkSm!),
        listOf(BlindedElement),
        (length = 48) => drawing(Proof!.r)(length),
      );
      expect(evaluated.map(toHex).join()).toBe(EvaluationElement);
      expect(toHex(proof)).toBe(Proof!.proof);
    }
  });

  it.each([1, 2, 3, 5])('the published outputs come out of a key that %i holders share', (holders) => {
    const shares = split(scalarOf(verifiable.skSm), holders);
    for (const vector of verifiable.vectors) {
      const elements = listOf(vector.BlindedElement);
      const answers = shares.map((share) => {
        const publicKey = Point.BASE.multiply(share).toBytes();
        const { evaluated, proof } = ristretto255_oprf.voprf.blindEvaluateBatch(Fn.toBytes(share), publicKey, elements);
        expect(isRightEvaluation(publicKey, elements, { elements: evaluated, proof })).toBe(true);
        return evaluated;
      });
      const sums = addEvaluations(answers);
      expect(sums.map(toHex).join()).toBe(vector.EvaluationElement);
      const blinds = listOf(vector.Blind);
      const outputs = listOf(vector.Input).map((input, i) => finalizeInput(input, blinds[i]!, sums[i]!));
      expect(outputs.map(toHex).join()).toBe(vector.Output);
      if (holders === 1) continue;
      // Control: without the last holder it is another function.
      const missing = addEvaluations(answers.slice(1));
      expect(toHex(finalizeInput(listOf(vector.Input)[0]!, blinds[0]!, missing[0]!))).not.toBe(toHex(outputs[0]!));
    }
  });

  it('the hash at the end is that of the plain mode, whose outputs are published too', () => {
    for (const vector of plain.vectors) {
      const output = finalizeInput(fromHex(vector.Input), fromHex(vector.Blind), fromHex(vector.EvaluationElement));
      expect(toHex(output)).toBe(vector.Output);
    }
  });
});

describe('what is refused', () => {
  const [vector] = verifiable.vectors;
  const blinded = listOf(vector!.BlindedElement);
  const publicKey = fromHex(verifiable.pkSm!);
  const right = { elements: listOf(vector!.EvaluationElement), proof: fromHex(vector!.Proof!.proof) };

  it('an evaluation with another element, key, proof, order or number', () => {
    const other = Point.BASE.multiply(7n).toBytes();
    const flipped = right.proof.slice();
    flipped[0]! ^= 1;
    const batch = verifiable.vectors[2]!;
    const two = { elements: listOf(batch.EvaluationElement), proof: fromHex(batch.Proof!.proof) };
    expect(isRightEvaluation(publicKey, listOf(batch.BlindedElement), two)).toBe(true); // control
    const wrong = [
      isRightEvaluation(publicKey, blinded, { ...right, elements: [other] }),
      isRightEvaluation(other, blinded, right),
      isRightEvaluation(publicKey, [other], right),
      isRightEvaluation(publicKey, blinded, { ...right, proof: flipped }),
      isRightEvaluation(publicKey, blinded, { ...right, proof: right.proof.subarray(1) }),
      isRightEvaluation(publicKey, blinded, { ...right, elements: [] }),
      isRightEvaluation(publicKey, blinded, { ...right, elements: [new Uint8Array(32)] }),
      isRightEvaluation(publicKey, listOf(batch.BlindedElement), { ...two, elements: two.elements.toReversed() }),
    ];
    expect(wrong).toEqual(wrong.map(() => false));
  });

  it('the identity and what encodes no element', () => {
    const bad = [new Uint8Array(32), new Uint8Array(32).fill(0xff), new Uint8Array(31)];
    for (const element of bad) expect(() => addEvaluations([[element]])).toThrow(/not an element/);
    for (const element of bad) expect(() => finalizeInput(new Uint8Array(1), blinded[0]!, element)).toThrow();
    expect(addEvaluations([blinded]).map(toHex)).toEqual(blinded.map(toHex)); // control
    expect(() => addEvaluations([blinded, []])).toThrow(/different numbers/);
  });
});
