/**
 * No NaN and no infinity among the numbers. A loop: `every(Number.isFinite)` takes ten times as long, and it is asked of every weight of
 * every model and update.
 */
export function allFinite(values: Float32Array | Float64Array): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i]!)) return false;
  return true;
}
