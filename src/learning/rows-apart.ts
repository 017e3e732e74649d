import type { DesignMatrix } from './features.ts';
import { type Activations, forward } from './forward.ts';
import type { Tf } from './load-tensorflow.ts';
import { initialModel, type ModelSpec } from './model.ts';
import { seededRandom } from './random.ts';

/** More than one call of the native library takes (`forward.ts`), so that every place of a row in one is seen. */
const ROWS = 307;
/** Odd ones: libraries cut rows into blocks of 4 to 16, and compute what is left over in another way. */
const PARTS = [1, 2, 3, 7, 17, 64, 131];

/** Logistic regressions and networks of the widths that tables have. */
const SPECS: readonly ModelSpec[] = [27, 91, 300].flatMap((inputs) => [
  { kind: 'logistic', inputs } as const,
  { kind: 'mlp', inputs, hidden: 16 } as const,
]);

function someRows(inputs: number): DesignMatrix {
  const random = seededRandom(`rows apart/${inputs}`);
  const x = Float32Array.from({ length: ROWS * inputs }, () => Math.round(1024 * random.normal()) / 1024);
  return { rows: ROWS, width: inputs, x, y: new Uint8Array(ROWS), outside: new Map() };
}

function pick({ width, x, y, outside }: DesignMatrix, rows: readonly number[]): DesignMatrix {
  const chosen = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) chosen.set(x.subarray(row * width, (row + 1) * width), i * width);
  return { rows: rows.length, width, x: chosen, y: Uint8Array.from(rows, (row) => y[row]!), outside };
}

/** Whether row i of a part is, bit for bit, row rows[i] of the whole. */
function agree(part: Activations, whole: Activations, rows: readonly number[]): boolean {
  const units = whole.hidden.length / whole.logits.length;
  return rows.every((row, i) => {
    if (part.logits[i] !== whole.logits[row] || part.residuals[i] !== whole.residuals[row]) return false;
    const own = part.hidden.subarray(i * units, (i + 1) * units);
    return own.every((value, unit) => value === whole.hidden[row * units + unit]);
  });
}

/**
 * Whether a backend computes each row by itself, bit for bit, whatever rows are beside it: the premise on which a record moves the
 * sum of clipped gradients by its own part alone (`gradients.ts`). A sample of shapes, no proof.
 */
export function keepsRowsApart(tf: Tf): boolean {
  return SPECS.every((spec) => {
    const random = seededRandom(`rows apart/${spec.kind}/${spec.inputs}`);
    const model = { spec, values: initialModel(spec).values.map(() => 0.3 * random.normal()) };
    const matrix = someRows(spec.inputs);
    const whole = forward(tf, model, matrix);
    return PARTS.every((size) => {
      const rows = Array.from({ length: size }, (_, i) => (i * 11 + size) % ROWS);
      return agree(forward(tf, model, pick(matrix, rows)), whole, rows);
    });
  });
}
