export interface Example {
  /** 0 or 1. */
  readonly choice: number;
  readonly features: readonly number[];
}

/**
 * Scores of examples under a logistic model that has learnt from others: features standardised, 300 steps of gradient
 * descent with a little decay. A distinguisher that has to be told nothing of what to look for.
 */
export function logisticScores(learn: readonly Example[], test: readonly Example[]): number[] {
  const width = learn[0]!.features.length;
  const mean = new Float64Array(width);
  const scale = new Float64Array(width);
  for (const { features } of learn) for (let f = 0; f < width; f++) mean[f]! += features[f]! / learn.length;
  for (const { features } of learn)
    for (let f = 0; f < width; f++) scale[f]! += (features[f]! - mean[f]!) ** 2 / learn.length;
  const standard = ({ features }: Example): number[] =>
    features.map((x, f) => (scale[f]! > 0 ? (x - mean[f]!) / Math.sqrt(scale[f]!) : x - mean[f]!));
  const rows = learn.map((example) => ({ x: standard(example), y: example.choice }));
  const weights = new Float64Array(width + 1);
  const score = (x: readonly number[]): number =>
    x.reduce((sum, value, f) => sum + value * weights[f]!, weights[width]!);
  for (let step = 0; step < 300; step++) {
    const gradient = new Float64Array(width + 1);
    for (const { x, y } of rows) {
      const error = y - 1 / (1 + Math.exp(-score(x)));
      for (let f = 0; f < width; f++) gradient[f]! += error * x[f]!;
      gradient[width]! += error;
    }
    for (let f = 0; f <= width; f++) weights[f]! += 0.5 * (gradient[f]! / rows.length - 0.002 * weights[f]!);
  }
  return test.map((example) => score(standard(example)));
}
