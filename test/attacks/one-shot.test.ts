import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromHex, toHex } from '../../crypto/encoding.ts';
import type { RingEngine } from '../../crypto/engine.ts';
import { packBlock, unpackBlock } from '../../crypto/packing.ts';
import { deriveParameters, ringShape } from '../../crypto/params.ts';
import { formatPolicy } from '../../crypto/policy.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { checkUploadSharing } from '../../protocols/aggregator.ts';
import { auditWithBlobs, BlobAuditor } from '../../protocols/audit-blobs.ts';
import { checkBox } from '../../protocols/boxes.ts';
import type { Leaf } from '../../protocols/leaves.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { makeOneShot, mayUpload, RoundSecrets } from '../../protocols/node.ts';
import * as oneShot from '../../protocols/one-shot.ts';
import type { Task } from '../../protocols/task.ts';
import { fitsTask } from '../../protocols/task-fit.ts';
import { reportText } from '../../src/audit/audit-text.ts';
import { reportOf } from '../../src/audit/report.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { cohortOf, memorySetting, REQUEST, smallEngine } from '../reference/memory-round.ts';
import { finished, oneShotRecord, opened, readied, uploaded } from '../reference/one-shot-log.ts';
import { filesOf, PaperLog, p, paperHash } from '../reference/paper-log.ts';

/**
 * What rounds without masks refuse, and what they cannot: the weaker claim, shown. That all members together open one upload is
 * shown by the control of p07b-whole-quorum, that t-1 do not by p07-below-threshold: masks are no part of either. Each rule of the
 * log is broken, and weakened as a control, in p02-transcript-changes (`one-shot-log`).
 */

/** Controls: a sharing that is taken for whatever round it is shown in; cohorts of any size. */
const weak = vi.hoisted(() => ({ boundTo: '' }));
vi.mock('../../protocols/share-key.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/share-key.ts')>();
  const shareContext: typeof original.shareContext = (place) => {
    const context = original.shareContext(place);
    return weak.boundTo === '' ? context : { ...context, closeHash: fromHex(weak.boundTo, 32) };
  };
  return { ...original, shareContext };
});
vi.mock('../../protocols/one-shot.ts', async (original) => ({ ...(await original<typeof oneShot>()) }));

afterEach(() => {
  weak.boundTo = '';
  vi.restoreAllMocks();
});

let engine: RingEngine;
beforeAll(async () => {
  engine = await smallEngine();
});

describe('who adds up can shift a sum, and only adding up again shows it', () => {
  const parameters = deriveParameters({ ...REQUEST, members: 3, threshold: 2 });
  const shape = ringShape(parameters);

  /** A round whose first summed value the aggregator raises by one. */
  function shifted(masking: 'pairwise' | 'none'): MemoryFederation {
    const rounds = masking === 'none' ? { oneShot: { buffer: 3, maxStaleness: 0 } } : {};
    const federation = new MemoryFederation(memorySetting(engine, { nodes: 3, ...rounds }));
    federation.tamper = (what, _party, value) => {
      if (what !== 'sum') return value;
      const length = parameters.lastBlockCoefficients;
      const residues = unpackBlock(shape, value as Uint8Array, length);
      for (const [i, part] of residues.entries())
        part[0] = (part[0]! + 2 ** parameters.logDelta) % parameters.primes[i]!;
      return packBlock(shape, residues, length) as typeof value;
    };
    federation.runRound(1, new Map(federation.nodeNames.map((name) => [name, new Int32Array(300).fill(7)])));
    return federation;
  }

  /** An auditor's report; with the blobs where they are given. */
  async function reportOn(federation: MemoryFederation, blobs: ReadonlyMap<string, Uint8Array>): Promise<string> {
    const { log } = federation;
    const files = filesOf(log.leaves);
    const input = {
      policyFile: formatPolicy(policyOf(p, log.transcript.genesis!)),
      checkpoint: log.checkpoint(1_700_000_500),
      readFile: (path: string) => files.get(path),
      genesisPin: log.transcript.logId,
      since: null,
    };
    const open = (hash: string) => {
      const bytes = blobs.get(hash);
      if (bytes === undefined) return null;
      const read = (at: number, length: number) => bytes.subarray(at, at + length);
      return { sha256: toHex(p.sha256(bytes)), lengthBytes: bytes.length, read, [Symbol.dispose]: () => {} };
    };
    const auditor = new BlobAuditor({ open }, async (record) => federation.context(record, 'auditor'));
    const audited = await auditWithBlobs(p, input, auditor);
    return reportText(reportOf(audited.log, blobs.size === 0 ? null : audited.blobs));
  }

  it('it opens, shifted; the audit says that nobody checked it, and finds it with the blobs', async () => {
    const federation = shifted('none');
    const [round] = federation.log.transcript.rounds.values();
    expect(cohortOf(round!)).toHaveLength(3);
    expect([...federation.openings.get(round!.id)!.values.subarray(0, 2)]).toEqual([22, 21]);
    const alone = await reportOn(federation, new Map());
    expect(alone).toContain('verdict: verified');
    expect(alone).toContain('NO_MASKS');
    expect(alone).toContain('claim (a) only: no pairwise masks (masking: none)');
    expect(alone).toContain('so not checked: whoever adds up can shift it');
    const again = await reportOn(federation, federation.blobs);
    expect(again).toContain('verdict: violation');
    expect(again).toContain('SUM_NOT_REPRODUCED');
  });

  it('with masks the same aggregator is refused, by what the nodes signed', () => {
    const [round] = shifted('pairwise').log.transcript.rounds.values();
    expect(round).toMatchObject({ phase: 'aborted', reason: 'CHECKSUM_MISMATCH' });
  });

  it('an honest sum is said to be checked by adding up again, and by nothing else', async () => {
    const federation = new MemoryFederation(memorySetting(engine, { oneShot: { buffer: 4, maxStaleness: 0 } }));
    federation.runRound(1, new Map(federation.nodeNames.map((name) => [name, new Int32Array(300).fill(7)])));
    const report = await reportOn(federation, federation.blobs);
    expect(report).toContain('verdict: verified');
    expect(report).toContain('sum recomputed, checked by adding up again');
    expect(report).toContain("updates by models behind the round's: 0 behind: 4");
  });
});

describe('a sharing belongs to one round', () => {
  it('a box of one round does not open in another one, not even under the same key', () => {
    const log = opened();
    const { round } = log;
    const { announce, parameters, modelHash } = round.record;
    using secrets = new RoundSecrets(
      new Int16Array(parameters.ringDegree),
      new SecretBytes('update hash', systemRng(32)),
      new SecretBytes('mask key', new Uint8Array(0)),
    );
    using fresh = new SecretBytes('round seed', systemRng(32));
    const { payloadHash, payloadBytes, seen } = log.oneShot('node-1');
    const payload = { hash: payloadHash, bytes: payloadBytes };
    const place = { round, node: 'node-1' };
    const model = { number: 0, hash: modelHash };
    const at = { size: seen.size, root: fromHex(seen.root, 32) };
    const made = makeOneShot(p, systemRng, log.transcript, place, secrets, fresh, model, payload, at);
    // Aggregators take what the leaf says of its sharing, all of it, and none with an upload that has masks.
    const taken = (kind: 'upload' | 'one-shot', sharing: Pick<typeof made, 'correction' | 'boxes'> | undefined) => {
      const body = kind === 'upload' ? log.upload('node-1') : made.body;
      const leaf = { ...log.draft('node-1', kind, body), sig: '' } as unknown as Leaf<'upload'> | Leaf<'one-shot'>;
      return checkUploadSharing((bytes) => toHex(p.sha256(bytes)), log.transcript, leaf, sharing)?.rejected ?? 'taken';
    };
    expect([taken('one-shot', made), taken('upload', undefined)]).toEqual(['taken', 'taken']);
    expect(taken('upload', made)).toBe('MASKING_MISMATCH');
    expect(taken('one-shot', undefined)).toBe('BOXES_MISMATCH');
    expect(taken('one-shot', { ...made, boxes: made.boxes.toReversed() })).toBe('BOXES_MISMATCH');
    expect(taken('one-shot', { ...made, correction: made.correction.subarray(1) })).toBe('PAYLOAD_HASH');
    log.post('node-1', 'one-shot', made.body);
    for (const node of log.nodes.slice(1)) log.post(node, 'one-shot', log.oneShot(node));
    log.post('coordinator', 'close', log.close());
    const confirm = log.attempt.confirms.get('node-1')!;
    const key = log.seed(`kem member-1 ${announce}`);
    const shownIn = (id: string) =>
      checkBox(p, key, { ...round, id }, log.attempt, confirm, 'member-1', made.boxes[0]!.sealed);
    expect(shownIn(round.id)).toHaveProperty('seeds');
    const another = paperHash('another round');
    expect(shownIn(another)).toMatchObject({ code: 'BOX_UNREADABLE' });
    // Control: bound to nothing of the round, it is one more sharing wherever it is shown.
    weak.boundTo = round.id;
    expect(shownIn(another)).toHaveProperty('seeds');
  });

  it('a leaf counts once: again, in another round, or as another upload of its node it does not', () => {
    const log = uploaded(PaperLog.founded(), 1, ['node-2', 'node-3']);
    const leaf = log.leaf('node-1', 'one-shot', log.oneShot('node-1'));
    expect(log.offer(leaf)).toBe('counted');
    expect(log.offer(leaf)).toBe('REPLAYED');
    const second = { ...log.oneShot('node-1'), nonce: paperHash('n'), payloadHash: paperHash('p') };
    const sharing = log.sharing(log.round.record, 'another');
    expect(log.offer(log.leaf('node-1', 'one-shot', { ...second, ...sharing }))).toBe('DUPLICATE_UPLOAD');
    finished(readied(log));
    expect(log.round.uploads.size).toBe(3);
    const old = [...log.round.uploads.values()][0]!.shared!;
    expect(log.offer(log.leaf('node-2', 'one-shot', old))).toBe('ROUND_ENDED');
    uploaded(log, 2, []);
    expect(log.offer(log.leaf('node-2', 'one-shot', { ...old, round: log.round.id }))).toBe('NONCE_REUSED');
    const freshly = { ...old, round: log.round.id, nonce: paperHash('m'), payloadHash: paperHash('q') };
    expect(log.offer(log.leaf('node-2', 'one-shot', freshly))).toBe('SEED_REUSED');
  });
});

describe('an update is in one decision at most', () => {
  const fate = (log: PaperLog, round: string, node = 'node-1') => oneShot.fateOf(log.transcript, round, node);

  it('goes on to another round only where the first one can never count it', () => {
    const log = uploaded(PaperLog.founded(), 1);
    const { id } = log.round;
    expect(fate(log, id)).toBe('pending');
    readied(log);
    expect(fate(log, id)).toBe('pending');
    finished(log);
    expect(fate(log, id)).toBe('counted');
    const late = uploaded(PaperLog.founded(), 1, ['node-2', 'node-3', 'node-4']);
    expect(fate(late, late.round.id)).toBe('pending');
    readied(late);
    expect(fate(late, late.round.id)).toBe('free');
    const ended = uploaded(PaperLog.founded(), 1);
    ended.post('coordinator', 'abort', { round: ended.round.id, reason: 'OPERATOR' });
    expect(fate(ended, ended.round.id)).toBe('free');
  });

  it('stays counted where its sum was decided over and did not open', () => {
    const log = readied(uploaded(PaperLog.founded(), 1));
    log.post('coordinator', 'decide', log.decide());
    for (const member of log.members) log.post(member, 'answer', log.answer(member));
    log.post('recipient-1', 'abort', { round: log.round.id, reason: 'KEY_DOES_NOT_FIT' });
    expect(fate(log, log.round.id)).toBe('counted');
  });
});

describe('a coordinator that drops the masks', () => {
  it('is refused by a site whose task has them, whatever its policy says; and by the policy, whatever its task says', () => {
    const log = opened();
    const { record } = log.round;
    const { recipients, parameters, charge: _, ...same } = record;
    const task = { ...same, ...parameters, recipients: recipients.map(({ name }) => name) } as unknown as Task;
    const { oneShot: __, ...masked } = task;
    expect(fitsTask(record, masked)).toMatchObject({
      rejected: 'PARAMETERS_MISMATCH',
      why: expect.stringContaining('masking'),
    });
    const other = { ...task, oneShot: { buffer: 4, maxStaleness: 1 } };
    expect(fitsTask(record, other)).toMatchObject({
      rejected: 'PARAMETERS_MISMATCH',
      why: expect.stringContaining('buffer'),
    });
    expect(fitsTask(record, task)).toBeNull();
    const accepts = log.sitePolicy({ minOrganisations: 1, maskingNone: 'accept' });
    const { maskingNone: ___, ...silent } = accepts;
    expect(mayUpload(silent, log.transcript, log.round, 'node-1', 0)?.rejected).toBe('MASKING_REFUSED');
    // Control: the same site with the one line.
    expect(mayUpload(accepts, log.transcript, log.round, 'node-1', 0)).toBeNull();
  });

  it('cannot open a sum below min_cohort, over some of the uploads, twice, or beyond the budget', () => {
    const small = uploaded(PaperLog.founded(), 1, ['node-1']);
    expect(small.offer(small.leaf('coordinator', 'close', small.close()))).toBe('COHORT_TOO_SMALL');
    const log = uploaded(PaperLog.founded(), 1);
    const all = log.close();
    const some = { ...all, uploads: all.uploads.slice(0, 2) };
    expect(log.offer(log.leaf('coordinator', 'close', some))).toBe('BAD_COHORT');
    log.post('coordinator', 'close', all);
    // Without confirmations members are ready as soon as it is closed, and not before t of them are it is decided.
    expect(log.offer(log.leaf('coordinator', 'decide', log.decide()))).toBe('NOT_READY');
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    log.post('coordinator', 'decide', log.decide());
    expect(log.transcript.ledger.spentRhoNano).toBe(log.round.record.charge.rhoNano);
    const { window } = log.round.record;
    const again = log.leaf('coordinator', 'open', { record: oneShotRecord(log, 2, { window }) });
    expect(log.offer(again)).toBe('WINDOW_DECIDED');
    const poor = PaperLog.founded({ budgetRhoNano: 1 });
    const opening = poor.leaf('coordinator', 'open', { record: oneShotRecord(poor, 1) });
    expect(poor.offer(opening)).toBe('BUDGET_EXCEEDED');
  });

  it('cannot count a revoked node, nor take an update that is too far behind for a fresh one', () => {
    const log = uploaded(PaperLog.founded(), 1);
    log.post('root', 'revoke', { name: 'node-4', reason: 'lost' });
    readied(log);
    expect(log.attempt.cohort.map(({ node }) => node)).toEqual(['node-1', 'node-2', 'node-3']);
    finished(log);
    finished(readied(uploaded(log, 2, ['node-1', 'node-2', 'node-3'])));
    uploaded(log, 3, []);
    const stale = log.leaf('node-1', 'one-shot', log.oneShot('node-1', 2));
    expect(log.offer(stale)).toBe('TOO_STALE');
    // Control: without the rule it counts, at a weight that the task never allowed.
    vi.spyOn(oneShot, 'checkBase').mockReturnValue(null);
    expect(log.offer(stale)).toBe('counted');
  });
});
