import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { makeSigner, type Verifier } from '../../crypto/note.ts';
import { checkpointSeed } from '../../src/keys/card.ts';
import { openPartyFolder } from '../../src/keys/party-folder.ts';
import { primitives as p } from '../../src/party/party.ts';
import { LyingLog } from '../e2e/lying-log.ts';

/** Controls take the witnesses away, or believe one more key of the log. */
const weak = vi.hoisted(() => ({ witnesses: false, logKeys: [] as Verifier[] }));
vi.mock('../../crypto/checkpoint.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/checkpoint.ts')>();
  const openCheckpoint: typeof original.openCheckpoint = (primitives, note, policy) => {
    const logs = [...policy.logs, ...weak.logKeys.map((verifier) => ({ ...policy.logs[0]!, verifier }))];
    const opened = original.openCheckpoint(primitives, note, { ...policy, logs });
    return weak.witnesses ? { ...opened, quorum: true } : opened;
  };
  return { ...original, openCheckpoint };
});

let log: LyingLog;

beforeAll(async () => {
  log = await LyingLog.start();
}, 60_000);
afterEach(() => {
  weak.witnesses = false;
  weak.logKeys = [];
});
afterAll(() => log[Symbol.asyncDispose](), 60_000);

describe('P4: a log without its witnesses', () => {
  it('uncosigned, or cosigned by a bare half: a node refuses it (P13)', async () => {
    const none = log.noteOf(log.leaves, []);
    const half = log.noteOf(log.leaves, log.witnesses.slice(0, 3));
    for (const note of [none, half]) expect(await log.verdict(log.leaves, note, true)).toBe('NOT_COSIGNED');
    expect(await log.verdict(log.leaves, log.noteOf(log.leaves, log.witnesses.slice(0, 4)), true)).toBe('TAKEN'); // w of W
    weak.witnesses = true;
    for (const note of [none, half]) expect(await log.verdict(log.leaves, note, true)).toBe('TAKEN'); // control
  });

  it('signed by the key of another party: a node refuses it', async () => {
    const other = makeSigner(
      p,
      'ed25519',
      log.lab.origin,
      checkpointSeed(p, (await openPartyFolder(log.lab.path('us'))).identity),
    );
    const note = log.noteOf(log.leaves, log.witnesses, other);
    expect(await log.verdict(log.leaves, note, true)).toBe('BAD_CHECKPOINT');
    weak.logKeys = [other.verifier];
    expect(await log.verdict(log.leaves, note, true)).toBe('TAKEN'); // control
  });
});
