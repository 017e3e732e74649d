import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Anomaly, anomaliesOf, logTail } from '../../protocols/anomalies.ts';
import { ANOMALIES, FALSE_ALARM } from '../../protocols/anomaly-rules.ts';
import { emptyTranscript } from '../../protocols/patch.ts';
import { type RoundTrace, traceOf } from '../../protocols/round-trace.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { showAnomalies } from '../../src/cli/log-anomalies.ts';
import { HONEST } from '../../src/simulate/corruption.ts';
import { Federation } from '../../src/simulate/federation.ts';
import { Founding } from '../../src/simulate/founding.ts';
import { toyKit } from '../../src/simulate/kits.ts';
import { Draw } from '../../src/simulate/random.ts';
import { drawScenario } from '../../src/simulate/scenario.ts';
import { World } from '../../src/simulate/world.ts';
import { writeLog } from '../reference/golden-folder.ts';
import { PaperLog } from '../reference/paper-log.ts';
import { TRANSCRIPTS } from '../transcripts/write.ts';

const NODES = ['node-1', 'node-2', 'node-3', 'node-4', 'node-5', 'node-6'];
const MEMBERS = ['member-1', 'member-2', 'member-3'];
const HOLDERS = [...MEMBERS, 'recipient-1'];

/** A round of a log in which nothing happens, a minute after the one before. */
function quiet(number: number, over: Partial<RoundTrace> = {}): RoundTrace {
  return {
    id: `${number}`,
    number,
    task: 'task',
    occasion: `${number}`,
    openIndex: 100 * number,
    openTime: 60_000 * number,
    lastIndex: 100 * number + 50,
    outcome: 'released',
    reason: null,
    uploaded: new Set(NODES),
    asked: new Set(NODES),
    dropped: new Set(),
    holders: new Set(HOLDERS),
    complaints: [],
    cohort: NODES,
    answered: new Set(MEMBERS),
    liars: new Set(),
    ...over,
  };
}

/** A log of `rounds` rounds, some of them other than quiet. */
const logOf = (rounds: number, over: (number: number) => Partial<RoundTrace> = () => ({})): RoundTrace[] =>
  Array.from({ length: rounds }, (_, i) => quiet(i + 1, over(i + 1)));

const said = (traces: readonly RoundTrace[], t: Transcript = emptyTranscript()): string[] =>
  anomaliesOf(t, traces).map(({ code, party, rounds }) => `${code} ${party ?? '-'} ${rounds.join()}`);

const aborted = (reason: string): Partial<RoundTrace> => ({ outcome: 'aborted', reason });

describe('a pattern is found, and below its threshold it is not', () => {
  it('1: aborts in a row, more than the history lets expect', () => {
    const run = (from: number, to: number, rounds = 40) =>
      said(logOf(rounds, (n) => (n >= from && n <= to ? aborted('NOT_READY') : {})));
    expect(run(30, 32)).toEqual(['ABORTS_IN_A_ROW - 30,31,32']);
    expect(run(30, 31)).toEqual([]); // control: two
    expect(run(2, 4)).toEqual([]); // control: three, in a log that has no history
    expect(run(2, 7)).toEqual(['ABORTS_IN_A_ROW - 2,3,4,5,6,7']);
    expect(run(38, 40)).toEqual(['ABORTS_IN_A_ROW - 38,39,40']); // the log ends with them
    const often = logOf(40, (n) => (n % 2 === 0 || n === 31 ? aborted('NOT_READY') : {}));
    expect(said(often)).toEqual([]); // control: where every second round is aborted, three in a row are nothing
  });

  it('2: a node drops out after its upload', () => {
    const drops = (rounds: readonly number[], who: readonly string[], of = 20) =>
      said(logOf(of, (n) => (rounds.includes(n) ? { dropped: new Set(who) } : {})));
    expect(drops([3, 7, 12, 15], ['node-2'])).toEqual(['NODE_DROPS_OUT node-2 3,7,12,15']);
    expect(drops([3, 7, 15], ['node-2'])).toEqual([]); // control
    expect(drops([3, 7, 12, 15], NODES)).toEqual([]); // control: all of them did, so it is nobody's
  });

  it('3, 4: complaints by one against many, and by many against one', () => {
    const complain = (rounds: readonly number[], holders: readonly string[], nodes: readonly string[]) => {
      const complaints = holders.flatMap((holder) => nodes.map((node) => ({ holder, node })));
      return said(logOf(40, (n) => (rounds.includes(n) ? { complaints } : {})));
    };
    expect(complain([3, 9, 22, 30], ['member-2'], NODES)).toEqual(['HOLDER_COMPLAINS member-2 3,9,22,30']);
    expect(complain([3, 9, 22, 30], HOLDERS, ['node-5'])).toEqual(['NODE_COMPLAINED_OF node-5 3,9,22,30']);
    expect(complain([3, 9, 22], ['member-2'], NODES)).toEqual([]); // control
    expect(complain([3, 9], HOLDERS, ['node-5'])).toEqual([]); // control
    expect(complain([3, 9, 22, 30], HOLDERS, NODES)).toEqual([]); // control: everybody against everybody
  });

  it('5: a member is named by recipients', () => {
    const named = (rounds: readonly number[]) =>
      said(logOf(40, (n) => (rounds.includes(n) ? { liars: new Set(['member-3']) } : {})));
    expect(named([3, 9, 22, 30])).toEqual(['MEMBER_NAMED member-3 3,9,22,30']);
    expect(named([3, 9, 22])).toEqual([]); // control
  });

  it('7: rounds are opened in haste', () => {
    const at = (times: (n: number) => number, of = 14) => said(logOf(of, (n) => ({ openTime: times(n) })));
    const hasty = (fast: number) => (n: number) => (n <= 10 ? 60_000 * n : 600_000 + fast * (n - 10));
    expect(at(hasty(1000))).toEqual(['OPENED_IN_HASTE - 11,12,13']);
    expect(at(hasty(10_000))).toEqual([]); // control: six times as fast
    expect(at(hasty(1000), 12)).toEqual([]); // control: two of them
    expect(at((n) => 60_000 * Math.ceil(n / 4) + (n % 4), 40)).toEqual([]); // control: four windows at a time, as ever
    const buckets = logOf(40, (n) => ({ openTime: 60_000 * Math.ceil(n / 4), occasion: `${Math.ceil(n / 4)}` }));
    expect(said(buckets)).toEqual([]); // control: four buckets of one model
  });

  it('8: one node is in all failed sets', () => {
    const half = (n: number): string[] => NODES.filter((_, i) => i === 0 || i % 3 === n % 3).slice(0, 3);
    const failing = (n: number): Partial<RoundTrace> =>
      n % 3 === 0 ? { ...aborted('KEY_DOES_NOT_FIT'), cohort: half(n / 3) } : { cohort: NODES.slice(1, 4) };
    expect(said(logOf(12, failing))).toEqual(['IN_ALL_FAILED_SETS node-1 3,6,9,12']);
    const all = logOf(12, (n) => (n % 3 === 0 ? aborted('KEY_DOES_NOT_FIT') : {}));
    expect(said(all)).toEqual([]); // control: it is in the opened ones too
  });
});

describe('read from leaves', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'veilsum-anomalies-'));
  let log: PaperLog;
  let printed: string[];

  /** A round in which some confirm and some do not, and a member complains about all of its boxes. */
  function play(number: number, { absent = [] as string[], complains = '', revoked = '' }): void {
    log.until('close', number);
    for (const node of log.nodes.filter((name) => !absent.includes(name))) log.post(node, 'confirm', log.confirm(node));
    if (absent.length > 0) {
      log.post('coordinator', 'close', log.close());
      for (const { node } of log.attempt.cohort) log.post(node, 'confirm', log.confirm(node));
    }
    for (const { node, hash: confirm } of complains === '' ? [] : log.attempt.confirms.values()) {
      log.post(complains, 'complaint', { confirm, code: 'SEED_MISMATCH' });
      log.post(node, 'reseal', { confirm, holder: complains, hash: log.attempt.close });
    }
    for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
    log.post('coordinator', 'decide', log.decide());
    if (revoked !== '') log.post('root', 'revoke', { name: revoked, reason: 'lost' });
    for (const member of log.members) log.post(member, 'answer', log.answer(member));
    log.post('recipient-1', 'release', { ...log.release(), liars: number < 4 ? ['member-2'] : [] });
    log.model(log.decision);
  }

  beforeAll(() => {
    log = PaperLog.founded({ nodes: 5 });
    for (let number = 1; number <= 6; number++) {
      play(number, {
        absent: number % 2 === 0 ? ['node-4'] : [],
        complains: number < 4 ? 'member-1' : '',
        revoked: number === 6 ? 'node-3' : '',
      });
    }
    writeLog(scratch, log.leaves, log.head());
    writeFileSync(join(scratch, 'policy.txt'), log.policyFile);
    printed = [];
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  });
  afterEach(() => {
    printed = [];
  });
  afterAll(() => {
    vi.restoreAllMocks();
    rmSync(scratch, { recursive: true, force: true });
  });

  const flags = (folder: string) => ({ policy: join(folder, 'policy.txt') });

  it('whoever dropped out, complained, was named, was revoked', async () => {
    const traces = [...log.transcript.rounds.values()].map(traceOf);
    expect(traces.map(({ dropped }) => [...dropped].join())).toEqual(['', 'node-4', '', 'node-4', '', 'node-4']);
    await showAnomalies(join(scratch, 'log'), { ...flags(scratch), json: true });
    const { anomalies, rounds } = JSON.parse(printed.join('')) as { anomalies: Anomaly[]; rounds: number };
    expect(rounds).toBe(6);
    expect(anomalies.map(({ code, party, rounds: of }) => [code, party, of.join()])).toEqual([
      ['NODE_DROPS_OUT', 'node-4', '2,4,6'],
      ['HOLDER_COMPLAINS', 'member-1', '1,2,3'],
      ['MEMBER_NAMED', 'member-2', '1,2,3'],
      ['REVOKED_IN_A_ROUND', 'node-3', '6'],
    ]);
  });

  it('the command says it in lines, and nothing of an honest log or of one that does not verify', async () => {
    await showAnomalies(join(scratch, 'log'), flags(scratch));
    expect(printed.join('')).toMatch(/4 to look at in \d+ leaves, 6 rounds.*\n {2}NODE_DROPS_OUT {2}rule 2, from leaf/);
    printed = [];
    const kept = join(TRANSCRIPTS, '0.1.0');
    await showAnomalies(join(kept, 'log'), flags(kept));
    expect(printed.join('')).toMatch(/^nothing stands out/); // control
    await expect(showAnomalies(join(kept, 'log'), flags(scratch))).rejects.toMatchObject({ code: 'NOT_VERIFIED' });
    await expect(showAnomalies(undefined, {})).rejects.toMatchObject({ code: 'USAGE' });
  });
});

describe('false alarms', () => {
  /** A log in which everybody has bad luck now and then, alike: drops 5 %, aborts 5 %, complaints and lies 1 %. */
  function luckless(draw: Draw): RoundTrace[] {
    const some = (from: readonly string[], chance: number): Set<string> =>
      new Set(from.filter(() => draw.chance(chance)));
    let time = 0;
    return logOf(100, () => {
      time += draw.between(20_000, 120_000);
      const complaints = HOLDERS.flatMap((holder) =>
        draw.chance(0.01) ? [...some(NODES, 0.5)].map((node) => ({ holder, node })) : [],
      );
      return {
        ...(draw.chance(0.05) ? aborted('NOT_READY') : {}),
        openTime: time,
        dropped: some(NODES, 0.05),
        liars: some(MEMBERS, 0.01),
        complaints,
      };
    });
  }

  it('stay within what the rules of chance state: five of them, each one log in a hundred', () => {
    const logs = 400;
    const draw = new Draw(20_261_123);
    const alarms = Array.from({ length: logs }, () => said(luckless(draw))).filter((found) => found.length > 0);
    expect(alarms.length).toBeLessThanOrEqual(5 * FALSE_ALARM * logs);
  });

  it('do not come from crashes, lost messages and slow disks: honest logs of the simulator', () => {
    for (let seed = 1; seed <= 5; seed++) {
      const draw = new Draw(seed);
      const bytes = draw.fork('secrets');
      const scenario = { ...drawScenario(draw.fork('scenario')), corruption: HONEST, changes: [] };
      const founding = new Founding(toyKit(), (length) => bytes.bytes(length), scenario.sizes);
      const federation = new Federation(new World(draw, null), founding, scenario);
      federation.run();
      const { transcript } = federation.coordinator;
      expect([seed, said([...transcript.rounds.values()].map(traceOf), transcript)]).toEqual([seed, []]);
    }
  });
});

it('the tail is that of a beta-binomial', () => {
  expect(Math.exp(logTail(10, 0, 2, 7))).toBeCloseTo(1, 12);
  expect(Math.exp(logTail(1, 1, 2, 7))).toBeCloseTo(2 / 7, 12); // its mean
  expect(Math.exp(logTail(2, 2, 1, 3))).toBeCloseTo((1 / 3) * (2 / 4), 12); // Polya's urn
});

it('every rule has a number of its own and words', () => {
  expect(ANOMALIES.map(({ id }) => id)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  for (const { sentence, threshold } of ANOMALIES) expect(sentence.length * threshold.length).toBeGreaterThan(0);
});
