import { auc } from './auc.ts';
import { poolRows, type Region } from './datasets.ts';
import type { DesignMatrix } from './features.ts';
import { scoreRows } from './forward.ts';
import { exampleGradientSum } from './gradients.ts';
import type { Tf } from './load-tensorflow.ts';
import { initialModel, type Model, type ModelSpec } from './model.ts';
import { initialServerState, type ServerSettings, serverStep } from './server-step.ts';

export interface ReferenceSettings extends ServerSettings {
  readonly rounds: number;
  /** First weights of an MLP. */
  readonly seed?: string | number;
}

/** AUC on all regions' held-out rows; entry 0 is the first model, entry r the model after round r. */
export interface ReferenceRun {
  readonly aucPerRound: readonly number[];
  readonly model: Model;
}

/** What the federated model is compared with. Needs every region's rows in one place: the demo and tests only. */
export interface References {
  readonly central: ReferenceRun;
  readonly regionOnly: readonly (ReferenceRun & { readonly region: string })[];
}

/**
 * Plain training without privacy, clipping or noise: once on all training rows pooled, once on each region's alone, with
 * the same model, rounds and server step as the federated run. Deterministic by seed.
 */
export function trainReferences(
  tf: Tf,
  spec: ModelSpec,
  regions: readonly Region[],
  settings: ReferenceSettings,
): References {
  const heldOut = poolRows(regions.map((region) => region.heldOut));
  const central = trainPlain(tf, spec, poolRows(regions.map((region) => region.train)), heldOut, settings);
  const regionOnly = regions.map((region) => ({
    region: region.name,
    ...trainPlain(tf, spec, region.train, heldOut, settings),
  }));
  return { central, regionOnly };
}

/** Full-batch gradient descent with the server's step. @throws LearningError NOT_FINITE when it diverges. */
export function trainPlain(
  tf: Tf,
  spec: ModelSpec,
  train: DesignMatrix,
  heldOut: DesignMatrix,
  settings: ReferenceSettings,
): ReferenceRun {
  let state = initialServerState(initialModel(spec, settings.seed ?? 1));
  const aucPerRound = [modelAuc(tf, state.model, heldOut)];
  for (let round = 0; round < settings.rounds; round++) {
    const { sum, count } = exampleGradientSum(tf, state.model, train, Number.POSITIVE_INFINITY);
    state = serverStep(state, { unit: 'record', sum, count }, settings);
    aucPerRound.push(modelAuc(tf, state.model, heldOut));
  }
  return { aucPerRound, model: state.model };
}

/** Exact AUC of a model on encoded rows. */
export function modelAuc(tf: Tf, model: Model, rows: DesignMatrix): number {
  return auc(scoreRows(tf, model, rows), rows.y);
}
