import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { scoreRows } from '../../src/learning/forward.ts';
import { loadTensorFlow } from '../../src/learning/load-tensorflow.ts';
import { layerViews, type Model, type ModelSpec, makeModel, parameterCount } from '../../src/learning/model.ts';
import { attribution, logOdds } from '../../src/scoring/attribution.ts';

const weight = fc.double({ min: -3, max: 3, noNaN: true });

/** A model with any weights, a reference and a row. */
const cases = fc
  .record({ inputs: fc.integer({ min: 1, max: 8 }), hidden: fc.integer({ min: 0, max: 6 }) })
  .chain(({ inputs, hidden }) => {
    const spec: ModelSpec = hidden === 0 ? { kind: 'logistic', inputs } : { kind: 'mlp', inputs, hidden };
    const numbers = (length: number) => fc.array(weight, { minLength: length, maxLength: length });
    return fc.record({
      model: numbers(parameterCount(spec)).map((values) => makeModel(spec, Float32Array.from(values))),
      reference: numbers(inputs),
      row: numbers(inputs),
    });
  });

/** Slope of the log-odds by each input, by its definition: relu is 0 or 1. */
function gradient(model: Model, at: readonly number[]): number[] {
  const layers = layerViews(model);
  const output = [...layers.get('output.weight')!];
  if (model.spec.kind === 'logistic') return output;
  const { hidden } = model.spec;
  const first = layers.get('hidden.weight')!;
  const sums = output.map((_, h) => at.reduce((sum, value, j) => sum + value * first[j * hidden + h]!, 0));
  return at.map((_, j) => output.reduce((sum, v, h) => sum + (sums[h]! > 0 ? v * first[j * hidden + h]! : 0), 0));
}

/** The integral as a sum of many steps (equation 3 of the paper). */
function bySteps(model: Model, reference: readonly number[], row: readonly number[], steps: number): number[] {
  const parts = row.map(() => 0);
  for (let step = 0; step < steps; step++) {
    const share = (step + 0.5) / steps;
    const slope = gradient(
      model,
      row.map((value, j) => reference[j]! + share * (value - reference[j]!)),
    );
    slope.forEach((value, j) => {
      parts[j]! += (value * (row[j]! - reference[j]!)) / steps;
    });
  }
  return parts;
}

describe('attribution', () => {
  it('is complete: the parts add up to what the row scores beyond the reference', () => {
    fc.assert(
      fc.property(cases, ({ model, reference, row }) => {
        const parts = attribution(model, reference)(row);
        const sum = parts.reduce((total, part) => total + part, 0);
        expect(sum).toBeCloseTo(logOdds(model, row) - logOdds(model, reference), 8);
      }),
    );
  });

  it('is the integral of the gradients: many small steps come to the same', () => {
    fc.assert(
      fc.property(cases, ({ model, reference, row }) => {
        const exact = attribution(model, reference)(row);
        const stepped = bySteps(model, reference, row, 4000);
        // A unit that switches inside a step is off by at most that step's share of its slope.
        for (const [j, part] of exact.entries()) expect(Math.abs(part - stepped[j]!)).toBeLessThan(0.1);
      }),
      { numRuns: 40 },
    );
  });

  it('of logistic regression is weight times difference, exactly', () => {
    const model = makeModel({ kind: 'logistic', inputs: 3 }, Float32Array.of(0.5, -2, 4));
    expect([...attribution(model, [1, 0, 0.25])([1, 3, 0.5])]).toEqual([0, -6, 1]);
  });

  it('gives nothing to an input that is as in the reference, nor to one that no weight looks at', () => {
    fc.assert(
      fc.property(cases, ({ model, reference, row }) => {
        const blind = makeModel(model.spec, model.values.slice());
        const { inputs } = blind.spec;
        const columns = blind.spec.kind === 'mlp' ? blind.spec.hidden : 1;
        // The first `inputs` rows of the first layer belong to the inputs; the last input's is put out.
        blind.values.fill(0, (inputs - 1) * columns, inputs * columns);
        expect(Math.abs(attribution(blind, reference)(row)[inputs - 1]!)).toBe(0);
        expect([...attribution(model, reference)(reference)].map(Math.abs)).toEqual(reference.map(() => 0));
      }),
    );
  });

  it('explains what TensorFlow.js scores', async () => {
    const { tf } = await loadTensorFlow(['wasm']);
    const spec: ModelSpec = { kind: 'mlp', inputs: 3, hidden: 2 };
    const model = makeModel(spec, Float32Array.of(1, -1, 0.5, 2, -3, 0.25, 1.5, -0.75, 0.1));
    const x = Float32Array.of(1, 0.5, -1, 1, -2, 3);
    const logits = scoreRows(tf, model, { rows: 2, width: 3, x, y: new Uint8Array(2), outside: new Map() });
    for (const [i, logit] of logits.entries())
      expect(logOdds(model, x.subarray(3 * i, 3 * i + 3))).toBeCloseTo(logit, 5);
  });

  it('refuses rows of another width', () => {
    const model = makeModel({ kind: 'logistic', inputs: 2 }, Float32Array.of(1, 1));
    expect(() => attribution(model, [1])).toThrow('2 inputs');
    expect(() => attribution(model, [1, 0])([1, 2, 3])).toThrow('2 inputs');
  });
});
