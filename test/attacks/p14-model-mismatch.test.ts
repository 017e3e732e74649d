import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { PayloadContext } from '../../crypto/payload.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { contextOf, kernelOf, parametersOf, valuesOf } from '../reference/engines.ts';
import { PaperLog, paperHash } from '../reference/paper-log.ts';
import { QuorumLab } from '../reference/quorum-lab.ts';

/** Controls: masks that do not know the model, and a rule that does not look at it. */
const weak = vi.hoisted(() => ({ masks: false, rule: false }));
vi.mock('../../crypto/masks.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/masks.ts')>();
  const pairwiseMask: typeof original.pairwiseMask = (q, secret, self, context, ...rest) => {
    const modelHash = weak.masks ? new Uint8Array(32) : context.modelHash;
    return original.pairwiseMask(q, secret, self, { ...context, modelHash }, ...rest);
  };
  return { ...original, pairwiseMask };
});
vi.mock('../../protocols/rules-quorum.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/rules-quorum.ts')>();
  const confirmRule: typeof original.confirmRule = (t, signed) => {
    if (!weak.rule) return original.confirmRule(t, signed);
    const id = t.roundOfClose.get(signed.leaf.body.close)!;
    const { modelHash } = t.rounds.get(id)!.record;
    const { leaf } = signed;
    return original.confirmRule(t, {
      ...signed,
      leaf: { ...leaf, body: { ...leaf.body, modelHash } },
    } as typeof signed);
  };
  return { ...original, confirmRule };
});

afterEach(() => {
  weak.masks = false;
  weak.rule = false;
});

const NODES = ['honest', 'other', 'target'];
let context: PayloadContext;

beforeAll(async () => {
  const parameters = parametersOf({ dimension: 300, members: 3, threshold: 2 });
  context = contextOf(parameters, await kernelOf(parameters));
});

/** A round in which the target was given a model of its own, opened with every key of the quorum. */
function openedWith(model: string): Int32Array | null {
  const lab = new QuorumLab(context, systemRng);
  for (const node of NODES) lab.upload(node, valuesOf(node, 300, 12));
  const submissions = NODES.map((node) => lab.confirm(node, NODES, 'close', node === 'target' ? model : 'model'));
  return lab.open(lab.unmask(submissions, [0, 1, 2, lab.recipient]), lab.sum(NODES));
}

describe('P14: the same model for all', () => {
  it('a node that was given another model says so in its confirmation: MODEL_MISMATCH', () => {
    const log = PaperLog.founded().until('close');
    const body = { ...log.confirm('node-1'), modelHash: paperHash('a model made for node-1') };
    const leaf = log.leaf('node-1', 'confirm', body);
    expect(log.offer(leaf)).toBe('MODEL_MISMATCH');
    weak.rule = true;
    expect(log.offer(leaf)).toBe('counted'); // control
  });

  it('a coordinator cannot open a round from another model than the newest logged one', () => {
    const log = PaperLog.founded();
    const announce = log.announced(1);
    for (const over of [{ modelHash: paperHash('another') }, { modelNumber: 7 }]) {
      expect(log.offer(log.leaf('coordinator', 'open', { record: log.record(announce, over) }))).toBe('UNKNOWN_MODEL');
    }
    expect(log.offer(log.leaf('coordinator', 'open', { record: log.record(announce) }))).toBe('counted'); // control
  });

  it('and one that says nothing has masks that do not cancel: nothing opens', () => {
    expect(openedWith('a model made for the target')).toBeNull();
    expect(openedWith('model')).not.toBeNull(); // control: the same model
    weak.masks = true;
    expect(openedWith('a model made for the target')).not.toBeNull(); // control: masks that do not hold the model
  });
});
