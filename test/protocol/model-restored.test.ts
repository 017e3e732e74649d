import { describe, expect, it } from 'vitest';
import { audit } from '../../protocols/audit.ts';
import { recipientDuties } from '../../protocols/recipient.ts';
import { reportText } from '../../src/audit/audit-text.ts';
import { reportOf } from '../../src/audit/report.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { filesOf, PaperLog, paperHash } from '../reference/paper-log.ts';

/** Three models: the first, and two made of a round each. */
function threeModels(): PaperLog {
  const log = PaperLog.founded();
  for (const number of [1, 2]) {
    log.until('release', number);
    log.model(log.decision);
  }
  return log;
}

/** What a recipient signs to go back to a model. */
function restoring(log: PaperLog, restores: number) {
  const { modelHash, modelBytes } = log.transcript.models[restores]!;
  const number = log.transcript.models.length;
  return { number, modelHash, modelBytes, sealedHash: paperHash(`again ${number}`), decide: null, restores };
}

describe('a model that is restored', () => {
  it('is the newest again, under a number of its own; the next round starts from it', () => {
    const log = threeModels();
    log.post('recipient-1', 'model', restoring(log, 1));
    expect(log.transcript.models.map(({ number, restores }) => [number, restores])).toEqual([
      [0, undefined],
      [1, undefined],
      [2, undefined],
      [3, 1],
    ]);
    const announce = log.announced(3);
    const abandoned = log.record(announce, { modelHash: paperHash('model 2'), modelNumber: 2, window: 'next' });
    expect(log.offer(log.leaf('coordinator', 'open', { record: abandoned }))).toBe('UNKNOWN_MODEL');
    const { record } = log.open(announce, { window: 'next' });
    expect(record).toMatchObject({ modelNumber: 3, modelHash: paperHash('model 1') });
  });

  it('is in the auditor’s report, which finds nothing wrong with it', () => {
    const log = threeModels();
    log.post('recipient-1', 'model', restoring(log, 1));
    const files = filesOf(log.leaves);
    const readFile = (path: string): Uint8Array | undefined => files.get(path);
    const input = { policyFile: log.policyFile, checkpoint: log.head(), readFile, genesisPin: null, since: null };
    const report = reportOf(audit(nodePrimitives, input), null);
    expect(report.log.findings).toEqual([]);
    expect(reportText(report)).toContain('model 3 is model 1 again');
  });

  it('gives no second sum over a window that it had one of', () => {
    const log = threeModels();
    log.post('recipient-1', 'model', restoring(log, 1));
    const announce = log.announced(3);
    const again = log.record(announce);
    expect(log.offer(log.leaf('coordinator', 'open', { record: again }))).toBe('WINDOW_DECIDED');
    // Control: the newest model before it has had none.
    const other = threeModels();
    expect(other.offer(other.leaf('coordinator', 'open', { record: other.record(other.announced(3)) }))).toBe(
      'counted',
    );
  });

  it('is what a round under way is no longer for: no model is made of its sum', () => {
    const next = (goesBack: boolean): string[] => {
      const log = threeModels().until('answers', 3);
      if (goesBack) log.post('recipient-1', 'model', restoring(log, 0));
      log.post('recipient-1', 'release', log.release());
      return recipientDuties(log.transcript, 'recipient-1', () => false).map(({ duty }) => duty);
    };
    expect(next(true)).toEqual([]);
    expect(next(false)).toEqual(['next-model']); // control
  });

  it.each([
    ['other bytes than the model it names', { modelHash: paperHash('mine') }, 'UNKNOWN_MODEL'],
    ['another length', { modelBytes: 65 }, 'UNKNOWN_MODEL'],
    ['a model that never was', { restores: 9 }, 'UNKNOWN_MODEL'],
    ['itself', { restores: 3 }, 'UNKNOWN_MODEL'],
    ['a number in the past', { number: 2 }, 'UNKNOWN_MODEL'],
    ['a decision beside it', { decide: paperHash('a decision') }, 'NOT_RELEASED'],
    ['nothing: a model of no round', { restores: undefined }, 'NOT_RELEASED'],
  ])('is refused with %s', (_what, change, code) => {
    const log = threeModels();
    const honest = restoring(log, 1);
    const { restores, ...forged } = { ...honest, ...change };
    const body = restores === undefined ? forged : { ...forged, restores };
    expect(log.offer(log.leaf('recipient-1', 'model', body))).toBe(code);
    expect(log.offer(log.leaf('node-1', 'model', honest))).toBe('WRONG_ROLE');
    expect(log.offer(log.leaf('recipient-1', 'model', honest))).toBe('counted');
  });

  it('is not the newest one: that would restore nothing', () => {
    const log = threeModels();
    expect(log.offer(log.leaf('recipient-1', 'model', restoring(log, 2)))).toBe('UNKNOWN_MODEL');
  });
});
