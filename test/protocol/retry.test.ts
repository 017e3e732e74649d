import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import * as retry from '../../protocols/retry.ts';
import type { Round, Upload } from '../../protocols/transcript.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { memorySetting, REQUEST, smallEngine } from '../reference/memory-round.ts';
import { PaperLog } from '../reference/paper-log.ts';

vi.mock('../../protocols/retry.ts', async (original) => ({ ...(await original<typeof retry>()) }));

const request = { ...REQUEST, minCohort: 3 };
let engine: RingEngine;

beforeAll(async () => {
  engine = await smallEngine();
});

afterEach(() => {
  vi.restoreAllMocks();
});

/** The same bytes at every run: which halves are drawn is then known. */
function countingRng(seed: string): (length: number) => Uint8Array {
  let calls = 0;
  return (length) => {
    const key = nodePrimitives.sha256(new TextEncoder().encode(`${seed} ${calls++}`));
    return nodePrimitives.aes256Ctr(key, length);
  };
}

function sabotaged(saboteur: string): MemoryFederation {
  const federation = new MemoryFederation(
    memorySetting(engine, { rng: countingRng(saboteur), nodes: 8, request, window: 'one window' }),
  );
  federation.tamper = (what, party, value) => {
    // Any residues below every prime, other ones each time.
    if (what === 'payload' && party === saboteur) (value as Uint8Array).fill(1, 0, 500);
    return value;
  };
  return federation;
}

const cohortOf = (round: Round): string[] => round.attempts.at(-1)!.cohort.map(({ node }: Upload) => node);

describe('sabotage', () => {
  it.each(['node-2', 'node-7'])(
    'by %s: training goes on, and it is soon the only node that all failures share',
    (bad) => {
      const federation = sabotaged(bad);
      const updates = new Map(federation.nodeNames.map((name, i) => [name, new Int32Array(300).fill(i + 1)]));
      let models = 0;
      let failed: string | null = null;
      let number = 0;
      const suspects = () => retry.suspectsOf(federation.log.transcript, 'lead-scoring').map(({ node }) => node);
      while (suspects().length !== 1 || suspects()[0] !== bad) {
        expect(++number).toBeLessThan(40);
        const round = federation.runRound(number, updates);
        const cohort = cohortOf(round);
        expect(round.record.retryOf).toBe(failed);
        expect(cohort).toHaveLength(failed === null ? 8 : 4);
        if (round.phase === 'released') {
          expect(cohort).not.toContain(bad);
          const sum = cohort.reduce((total, name) => total + updates.get(name)![0]!, 0);
          expect(federation.openings.get(round.id)!.values).toEqual(new Int32Array(300).fill(sum));
          federation.nextModel(round);
          models++;
          failed = null;
        } else {
          expect(round).toMatchObject({ phase: 'aborted', reason: 'KEY_DOES_NOT_FIT' });
          expect(cohort).toContain(bad);
          expect(suspects()).toContain(bad);
          failed = round.id;
        }
      }
      expect(models).toBeGreaterThan(0);
    },
  );
});

describe('a retry', () => {
  function failedLog(reason: 'KEY_DOES_NOT_FIT' | 'OPERATOR'): { log: PaperLog; failed: string; announce: string } {
    const log = PaperLog.founded().until('answers');
    const failed = log.round.id;
    log.post(reason === 'OPERATOR' ? 'coordinator' : 'recipient-1', 'abort', { round: failed, reason });
    return { log, failed, announce: log.announced(2) };
  }
  const offered = (log: PaperLog, announce: string, over: object): string =>
    log.offer(log.leaf('coordinator', 'open', { record: log.record(announce, over) }));

  it('of a failed round of its own window is taken, once, and nothing else is', () => {
    const { log, failed, announce } = failedLog('KEY_DOES_NOT_FIT');
    expect(offered(log, announce, {})).toBe('WINDOW_DECIDED');
    expect(offered(log, announce, { retryOf: 'ab'.repeat(32) })).toBe('WINDOW_DECIDED');
    expect(offered(log, announce, { retryOf: failed, window: 'another' })).toBe('WINDOW_DECIDED');
    expect(retry.nextRetryOf(log.transcript, log.record(announce))).toBe(failed);
    expect(offered(log, announce, { retryOf: failed })).toBe('counted');
  });

  it('of a round that an operator ended is refused; control: it is taken when the rule is gone', () => {
    const { log, failed, announce } = failedLog('OPERATOR');
    expect(offered(log, announce, { retryOf: failed })).toBe('WINDOW_DECIDED');
    expect(retry.nextRetryOf(log.transcript, log.record(announce))).toBeUndefined();
    vi.spyOn(retry, 'mayRetry').mockReturnValue(true);
    expect(offered(log, announce, { retryOf: failed })).toBe('counted');
  });
});

describe('the half of a retry', () => {
  const upload = (node: string, payloadHash: string): Upload => ({ node, body: { payloadHash } }) as Upload;
  const uploads = ['d', 'a', 'c', 'b', 'e'].map((hash) => upload(`node ${hash}`, hash));
  const own = (node: string): string => node;

  it('is every second one by payload hash, in log order', () => {
    const half = retry.halfOf(uploads, { cohort: 2, organisations: 2 }, own);
    expect(half.map(({ node }) => node)).toEqual(['node a', 'node c', 'node e']);
  });

  it('keeps the share of every organisation, whatever hashes its nodes grind', () => {
    const ground = Array.from({ length: 12 }, (_, i) => upload(`${i % 3} ${i}`, `${i % 3 === 0 ? '0' : 'f'}${i}`));
    const organisation = (node: string): string => node[0]!;
    const half = retry.halfOf(ground, { cohort: 3, organisations: 2 }, organisation);
    const shares = Map.groupBy(half, ({ node }) => organisation(node));
    expect([...shares.values()].map((nodes) => nodes.length)).toEqual([2, 2, 2]);
    // Control: the smallest hashes alone would be the first organisation's.
    const smallest = [...ground].sort((a, b) => (a.body.payloadHash < b.body.payloadHash ? -1 : 1)).slice(0, 6);
    expect(smallest.filter(({ node }) => organisation(node) === '0')).toHaveLength(4);
  });

  it('is everybody where a part would be too small, or of too few organisations', () => {
    expect(retry.halfOf(uploads, { cohort: 3, organisations: 1 }, own)).toHaveLength(5);
    expect(retry.halfOf(uploads, { cohort: 2, organisations: 2 }, () => 'one')).toHaveLength(5);
  });
});
