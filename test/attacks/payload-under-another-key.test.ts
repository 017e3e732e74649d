import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Round } from '../../protocols/transcript.ts';
import { LyingRounds } from '../e2e/lying-rounds.ts';

/** Who lies, and how. Empty: everybody is honest, and every replaced function is the shipped one. */
const lies = vi.hoisted(() => ({
  /** A member that says it is ready and never answers. */
  silent: '',
  /** A node whose payload is under another key than it shares. */
  key: '',
}));

vi.mock('../../protocols/member.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/member.ts')>();
  const makeAnswer: typeof original.makeAnswer = (...args) => {
    if (args[5] === lies.silent) throw new Error('says nothing');
    return original.makeAnswer(...args);
  };
  return { ...original, makeAnswer };
});
vi.mock('../../protocols/node.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/node.ts')>();
  const makeConfirmation: typeof original.makeConfirmation = (...args) => {
    const [, , , , place, secrets] = args;
    if (place.node === lies.key) secrets.key[0]! += 1;
    return original.makeConfirmation(...args);
  };
  return { ...original, makeConfirmation };
});

const rounds = new LyingRounds(lies);
// All members are to be ready, however slow.
beforeAll(() => rounds.start({ coordinator: { readyMs: 15_000 } }), 60_000);
afterAll(() => rounds[Symbol.asyncDispose](), 60_000);

describe('a node whose payload does not fit its key', () => {
  it('ends the round by name, and nothing is opened', async () => {
    const { id, end } = await rounds.round({ key: 'eu' });
    expect(end).toBe('KEY_DOES_NOT_FIT');
    await expect(rounds.lab.result(id, 2)).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  it('ends the round also when a ready member never answers', async () => {
    const { end, round } = await rounds.round({ key: 'eu', silent: 'member-3' }, 1);
    expect(end).toBe('KEY_DOES_NOT_FIT');
    const { decision } = round as Extract<Round, { phase: 'aborted' }>;
    expect([decision!.attempt.ready.size, decision!.answers.size]).toEqual([3, 2]);
  });

  it('control: with everybody honest again the next round is exact', async () => {
    const { id, end } = await rounds.round({}, 2);
    expect(end).toBe('released');
    expect(await rounds.lab.result(id)).toEqual(rounds.sumOf());
  });
});
