import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { LyingRounds } from '../e2e/lying-rounds.ts';

/** Who lies, and how. Empty: everybody is honest, and every replaced function is the shipped one. */
const lies = vi.hoisted(() => ({
  /** A node that masks for another set than was closed. */
  set: '',
  /** The control: masks that know no set, since there are none. */
  unmasked: false,
}));

vi.mock('../../crypto/masks.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/masks.ts')>();
  const pairwiseMask: typeof original.pairwiseMask = (p, secret, node, context, cohort, ...rest) => {
    const isOwn = (peer: { identity: Uint8Array }): boolean => peer.identity.join() === node.join();
    const neighbour = cohort.find((peer) => !isOwn(peer));
    const shown =
      new TextDecoder().decode(node) === lies.set ? cohort.filter((peer) => isOwn(peer) || peer === neighbour) : cohort;
    const mask = original.pairwiseMask(p, secret, node, context, shown, ...rest);
    return lies.unmasked ? mask.fill(0) : mask;
  };
  return { ...original, pairwiseMask };
});

const rounds = new LyingRounds(lies);
beforeAll(() => rounds.start(), 60_000);
afterAll(() => rounds[Symbol.asyncDispose](), 60_000);

describe('P13: a node that was shown another set than was closed', () => {
  it('has masks that do not cancel: nothing opens', async () => {
    const { id, end } = await rounds.round({ set: 'apac' });
    expect(end).toBe('KEY_DOES_NOT_FIT');
    await expect(rounds.lab.result(id, 2)).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  it('control: without masks the round opens, and nobody notices', async () => {
    const { id, end } = await rounds.round({ set: 'apac', unmasked: true }, 1);
    expect(end).toBe('released');
    expect(await rounds.lab.result(id)).toEqual(rounds.sumOf());
  });
});
