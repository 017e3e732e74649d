import { beforeAll, describe, expect, it } from 'vitest';
import { unpackBlock } from '../../crypto/packing.ts';
import { type RoundParameters, ringShape } from '../../crypto/params.ts';
import { type PayloadContext, publicStream } from '../../crypto/payload.ts';
import { auc } from '../../src/learning/auc.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { contextOf, kernelOf, parametersOf, valuesOf } from '../reference/engines.ts';
import { logisticScores } from '../reference/logistic.ts';
import { QuorumLab, type Submission } from '../reference/quorum-lab.ts';

/**
 * The game of a distinguisher: it chooses two updates, one of them is uploaded by the victim, and it sees all that the
 * corrupt parties have. Features are everything we can think of that a wrong sharing, mask or payload would move; a
 * logistic model learns from half of the games what to make of them, and is scored on the other half.
 */

const NODES = ['victim', 'honest'];
/** The two updates, as far from each other as a round of 16 bits allows. */
const CHOICES = [valuesOf('one', 300, 16), valuesOf('one', 300, 16).map((x) => -x)];
let parameters: RoundParameters;
let context: PayloadContext;

beforeAll(async () => {
  parameters = parametersOf({ dimension: 300, members: 3, threshold: 2 });
  context = contextOf(parameters, await kernelOf(parameters));
});

/** Mean of +1 and -1 as the top bits of some words say. */
function topBits(words: ArrayLike<number>, half: number): number {
  let sum = 0;
  for (let i = 0; i < words.length; i++) sum += words[i]! >= half ? 1 : -1;
  return sum / Math.sqrt(words.length);
}

/** Correlation of a payload's residues, lifted, with the first choice, slot by slot and prime by prime. */
function correlations(wire: Uint8Array): number[] {
  const shape = ringShape(parameters);
  const length = parameters.lastBlockCoefficients;
  return unpackBlock(shape, wire, length).map((residues, i) => {
    const q = shape.primes[i]!;
    let sum = 0;
    for (let c = 0; c < 100; c++) sum += ((2 * residues[c]!) / q - 1) * Math.sign(CHOICES[0]![c]!);
    return sum / 10;
  });
}

/** How well a key opens a payload: the share of coefficients whose remainder and slots are in range, and what they say. */
function openingFeatures(key: Int32Array, wire: Uint8Array): number[] {
  const length = parameters.lastBlockCoefficients;
  const values = new Int32Array(300);
  using opener = context.engine.opener(key);
  const fits = opener.open(wire, length, publicStream(context, 0), values);
  let agreement = 0;
  for (const [i, value] of values.entries()) agreement += Math.sign(value) * Math.sign(CHOICES[0]![i]!);
  return [Number(fits), agreement / 300];
}

/** What the corrupt holders see of a round up to its decision, as numbers. */
function view(lab: QuorumLab, submissions: readonly Submission[], corrupt: readonly number[]): number[] {
  const half = 2 ** (parameters.maskModulusBits - 1);
  const features: number[] = [];
  const [victim] = submissions;
  const sumKey = lab.unmask(submissions, corrupt);
  features.push(...openingFeatures(sumKey, lab.sum(NODES)[0]!), topBits(sumKey, 0));
  const ownKey = lab.unmask([victim!], corrupt);
  features.push(...openingFeatures(ownKey, lab.uploads.get('victim')!.payload[0]!), topBits(ownKey, 0));
  features.push(topBits(victim!.z, half), ...correlations(lab.uploads.get('victim')!.payload[0]!));
  features.push(...correlations(lab.sum(NODES)[0]!));
  for (const box of victim!.boxes) features.push(topBits(box, 128));
  for (const commitment of victim!.commitments.slice(0, 3)) features.push(topBits(commitment, 128));
  for (const holder of corrupt)
    for (const seed of (lab.seedsFor(victim!, holder) ?? new Map()).values()) features.push(topBits(seed.bytes, 128));
  return features;
}

/** AUC over the games that the model has not learnt from, and the half width of its 99.99 % interval under guessing. */
function play(corruptMembers: number, trials: number): { auc: number; interval: number } {
  const lab = new QuorumLab(context, systemRng);
  const games = Array.from({ length: trials }, () => {
    const choice = systemRng(1)[0]! & 1;
    for (const node of NODES) lab.upload(node, node === 'victim' ? CHOICES[choice]! : valuesOf(node, 300, 12));
    const submissions = NODES.map((node) => lab.confirm(node, NODES, 'close'));
    // The recipient is corrupt as well: its seeds are in every view.
    const corrupt = [...Array.from({ length: corruptMembers }, (_, m) => m), lab.recipient];
    return { choice, features: view(lab, submissions, corrupt) };
  });
  const half = trials / 2;
  const [learn, test] = [games.slice(0, half), games.slice(half)];
  const scores = logisticScores(learn, test);
  const labels = test.map(({ choice }) => choice);
  const ones = labels.filter((label) => label === 1).length;
  // Standard deviation of the Mann-Whitney statistic when scores say nothing (Hanley and McNeil 1982).
  const deviation = Math.sqrt((half + 1) / (12 * ones * (half - ones)));
  return { auc: auc(scores, labels), interval: 3.89 * deviation };
}

describe('P7: t-1 members learn nothing, even with the aggregator', () => {
  it('a distinguisher on all that t-1 members, recipient and aggregator see has AUC 0.5 within its interval', () => {
    const result = play(parameters.threshold - 1, 240);
    console.log(`test/attacks/p07: t-1 members AUC ${result.auc.toFixed(3)}, interval +-${result.interval.toFixed(3)}`);
    expect(Math.abs(result.auc - 0.5)).toBeLessThan(result.interval);
  });

  it('and the opening fails', () => {
    const lab = new QuorumLab(context, systemRng);
    for (const node of NODES) lab.upload(node, valuesOf(node, 300, 16));
    const submissions = NODES.map((node) => lab.confirm(node, NODES, 'close'));
    const open = (holders: readonly number[]) => lab.open(lab.unmask(submissions, holders), lab.sum(NODES));
    for (const member of [0, 1, 2]) expect(open([member, lab.recipient])).toBeNull();
    expect(open([0, 1, 2])).toBeNull(); // nor do all members together without a recipient
    expect(open([0, 1, lab.recipient])).not.toBeNull(); // control
  });

  it('control: with t members the same distinguisher tells them apart', () => {
    // What it learns from 80 games may misplace one of the other 80, which costs a fortieth at most.
    const result = play(parameters.threshold, 160);
    expect(result.auc).toBeGreaterThan(0.95);
  });
});
