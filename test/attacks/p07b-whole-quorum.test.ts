import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { RoundParameters } from '../../crypto/params.ts';
import type { PayloadContext } from '../../crypto/payload.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { contextOf, kernelOf, parametersOf, valuesOf } from '../reference/engines.ts';
import { lift, QuorumLab, type Submission, subtract } from '../reference/quorum-lab.ts';

const weak = vi.hoisted(() => ({ noMasks: false }));
vi.mock('../../crypto/masks.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/masks.ts')>();
  const pairwiseMask: typeof original.pairwiseMask = (...args) =>
    weak.noMasks ? new Uint16Array(args[6]) : original.pairwiseMask(...args);
  return { ...original, pairwiseMask };
});

const ALL = ['victim', 'honest', 'other'];
let parameters: RoundParameters;
let context: PayloadContext;

beforeAll(async () => {
  parameters = parametersOf({ dimension: 300, members: 3, threshold: 2 });
  context = contextOf(parameters, await kernelOf(parameters));
});

/** A round whose whole quorum, recipient and aggregator are one attacker: every round key, every blob. */
function corruptQuorum() {
  const lab = new QuorumLab(context, systemRng);
  for (const node of ALL) lab.upload(node, valuesOf(node, 300, 16));
  const everybody = lab.holders.map((_, index) => index);
  /** What the attacker makes of some submissions: the key that it would try. */
  const keyOf = (submissions: readonly Submission[]): Int32Array => lab.unmask(submissions, everybody);
  const update = (node: string): Int32Array => lab.uploads.get(node)!.values;
  const payload = (node: string): readonly Uint8Array[] => lab.uploads.get(node)!.payload;
  return { lab, keyOf, update, payload };
}

describe('P7b: all members together learn only the cohort’s sum, while masks hold', () => {
  it('one attempt: no node’s recorded submission opens, nor does any part of the cohort; the sum does', () => {
    const { lab, keyOf, update, payload } = corruptQuorum();
    const submissions = ALL.map((node) => lab.confirm(node, ALL, 'close 1'));
    for (const [i, node] of ALL.entries()) {
      expect(lab.open(keyOf([submissions[i]!]), payload(node))).toBeNull();
      const others = ALL.filter((name) => name !== node);
      expect(lab.open(keyOf(submissions.filter((_, j) => j !== i)), lab.sum(others))).toBeNull();
    }
    const sum = update('victim').map((x, i) => x + update('honest')[i]! + update('other')[i]!);
    expect(lab.open(keyOf(submissions), lab.sum(ALL))).toEqual(sum);
  });

  it('shown forks, each node one of them: nothing opens, not even the sum', () => {
    const { lab, keyOf, payload } = corruptQuorum();
    const submissions = ALL.map((node) => lab.confirm(node, ALL, `fork for ${node}`));
    expect(lab.open(keyOf(submissions), lab.sum(ALL))).toBeNull();
    for (const [i, node] of ALL.entries()) expect(lab.open(keyOf([submissions[i]!]), payload(node))).toBeNull();
    // Smaller sets, each node another one that holds it.
    const pair = [lab.confirm('victim', ['victim', 'honest'], 'a'), lab.confirm('honest', ['honest', 'other'], 'b')];
    expect(lab.open(keyOf(pair), lab.sum(['victim', 'honest']))).toBeNull();
  });

  it('with other nodes corrupt as well: one honest neighbour’s mask hides the victim; with none left it is open', () => {
    const { lab, keyOf, update, payload } = corruptQuorum();
    /** The victim's key as the quorum and one corrupt node have it: without the mask that the two share. */
    const keyWithInsider = (cohort: readonly string[], close: string): Int32Array => {
      const key = keyOf([lab.confirm('victim', cohort, close)]);
      const shared = lab.mask('other', ['victim', 'other'], close);
      return lift(
        Uint16Array.from(shared, (x, c) => (x + key[c]!) & (2 ** maskBits - 1)),
        maskBits,
      );
    };
    const maskBits = parameters.maskModulusBits;
    expect(lab.open(keyWithInsider(ALL, 'close 1'), payload('victim'))).toBeNull();
    // Control: a sum with a single honest node. The noise it added to its own update is all that it has.
    expect(lab.open(keyWithInsider(['victim', 'other'], 'close 2'), payload('victim'))).toEqual(update('victim'));
  });

  it('control: with masking off every submission opens its node’s update', () => {
    const { lab, keyOf, update, payload } = corruptQuorum();
    weak.noMasks = true;
    const submissions = ALL.map((node) => lab.confirm(node, ALL, 'close 1'));
    weak.noMasks = false;
    for (const [i, node] of ALL.entries()) {
      expect(lab.open(keyOf([submissions[i]!]), payload(node))).toEqual(update(node));
    }
  });

  it('control: when the others confirm twice, with and without the victim, the difference of the sums’ keys is its key', () => {
    const { lab, keyOf, update, payload } = corruptQuorum();
    const first = ALL.map((node) => lab.confirm(node, ALL, 'close 1'));
    const rest = ['honest', 'other'];
    const second = rest.map((node) => lab.confirm(node, rest, 'close 2'));
    expect(lab.open(subtract(keyOf(first), keyOf(second)), payload('victim'))).toEqual(update('victim'));
    // And the victim's one confirmation alone still opens nothing: it is the others' second one that tells.
    expect(lab.open(keyOf(first.slice(0, 1)), payload('victim'))).toBeNull();
  });
});
