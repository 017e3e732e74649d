import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LyingRounds } from '../e2e/lying-rounds.ts';

/** Who lies, and how. Empty: everybody is honest, and every replaced function is the shipped one. */
const lies = vi.hoisted(() => ({
  /** A node that masks for another model. */
  model: '',
  /** The control: masks that do not know the model. */
  unbound: false,
}));

vi.mock('../../crypto/masks.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/masks.ts')>();
  const pairwiseMask: typeof original.pairwiseMask = (p, secret, node, context, cohort, ...rest) => {
    const name = new TextDecoder().decode(node);
    const given = name === lies.model ? new Uint8Array(32).fill(7) : context.modelHash;
    const modelHash = lies.unbound ? new Uint8Array(32) : given;
    return original.pairwiseMask(p, secret, node, { ...context, modelHash }, cohort, ...rest);
  };
  return { ...original, pairwiseMask };
});

const rounds = new LyingRounds(lies);
beforeAll(() => rounds.start(), 60_000);
afterAll(() => rounds[Symbol.asyncDispose](), 60_000);

describe('P14: a node that was given another model', () => {
  it('has masks that do not cancel: nothing opens', async () => {
    const { id, end } = await rounds.round({ model: 'us' });
    expect(end).toBe('KEY_DOES_NOT_FIT');
    await expect(rounds.lab.result(id, 2)).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  it('control: with masks that do not hold the model the round opens, and nobody notices', async () => {
    const { id, end } = await rounds.round({ model: 'us', unbound: true }, 1);
    expect(end).toBe('released');
    expect(await rounds.lab.result(id)).toEqual(rounds.sumOf());
  });
});
