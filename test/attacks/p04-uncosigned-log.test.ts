import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSigner } from '../../crypto/note.ts';
import { checkpointSeed } from '../../src/keys/card.ts';
import { openPartyFolder } from '../../src/keys/party-folder.ts';
import { primitives as p } from '../../src/party/party.ts';
import { LyingLog } from '../e2e/lying-log.ts';

let log: LyingLog;

beforeAll(async () => {
  log = await LyingLog.start();
}, 60_000);
afterAll(() => log[Symbol.asyncDispose](), 60_000);

describe('P4: a log without its witnesses', () => {
  it('uncosigned, cosigned by a bare half, or signed by another key: a node refuses it (P13)', async () => {
    expect(await log.verdict(log.leaves, log.published, true)).toBe('TAKEN'); // control
    expect(await log.verdict(log.leaves, log.noteOf(log.leaves, []), true)).toBe('NOT_COSIGNED');
    expect(await log.verdict(log.leaves, log.noteOf(log.leaves, log.witnesses.slice(0, 3)), true)).toBe('NOT_COSIGNED');
    expect(await log.verdict(log.leaves, log.noteOf(log.leaves, log.witnesses.slice(0, 4)), true)).toBe('TAKEN'); // control: w of W
    const other = makeSigner(
      p,
      'ed25519',
      log.lab.origin,
      checkpointSeed(p, (await openPartyFolder(log.lab.path('us'))).identity),
    );
    expect(await log.verdict(log.leaves, log.noteOf(log.leaves, log.witnesses, other), true)).toBe('BAD_CHECKPOINT');
  });
});
