import { ANOMALIES, type AnomalyCode, FALSE_ALARM, HASTE, LEAST, PACE_ROUNDS } from './anomaly-rules.ts';
import type { RoundTrace } from './round-trace.ts';
import { logChoose, logSumExp } from './special-functions.ts';
import type { Transcript } from './transcript.ts';

/** Something to look at. */
export interface Anomaly {
  readonly rule: number;
  readonly code: AnomalyCode;
  readonly task: string | null;
  /** Null where it is about a task. */
  readonly party: string | null;
  /** Numbers of the rounds that it is about. */
  readonly rounds: readonly number[];
  /** Leaf index of the first of them, or of the revocation. */
  readonly index: number;
  /** Words for a person; may hold names that the log gives. */
  readonly text: string;
}

function anomaly(code: AnomalyCode, of: Omit<Anomaly, 'rule' | 'code'>): Anomaly {
  return { rule: ANOMALIES.find((rule) => rule.code === code)!.id, code, ...of };
}

/** ln of the beta function at positive integers. */
const logBeta = (a: number, b: number): number => -Math.log(a) - logChoose(a + b - 1, a);

/**
 * ln P[X >= k], where X counts events in n rounds at a rate of which only this is known: `seen` events in `of` rounds, after
 * a uniform prior over `seen` = 1 (beta-binomial, the posterior predictive; seen < of). With the rate itself put in place of
 * its distribution twice as many logs had false alarms as stated.
 */
export function logTail(n: number, k: number, seen: number, of: number): number {
  const terms = Array.from({ length: n - k + 1 }, (_, i) => {
    return logChoose(n, k + i) + logBeta(seen + k + i, of - seen + n - k - i) - logBeta(seen, of - seen);
  });
  return Math.min(0, logSumExp(terms));
}

/** In how many of the rounds that it could happen in it happened to a party; and which. */
interface Count {
  trials: number;
  readonly events: RoundTrace[];
}

/**
 * Parties to which something happened more often than to the others: so many events or more have a probability below
 * FALSE_ALARM divided by the number of parties. What is known of the rate is what happened to the others, begun with one event
 * in `prior` rounds.
 */
function standOut(counts: ReadonlyMap<string, Count>, prior: number): [string, Count][] {
  const all = [...counts.values()];
  const [trials, events] = [all.reduce((n, c) => n + c.trials, 0), all.reduce((n, c) => n + c.events.length, 0)];
  return [...counts].filter(([, own]) => {
    const [seen, of] = [events - own.events.length + 1, trials - own.trials + prior];
    return (
      own.events.length >= LEAST &&
      seen < of &&
      logTail(own.trials, own.events.length, seen, of) < Math.log(FALSE_ALARM / counts.size)
    );
  });
}

function count(
  traces: readonly RoundTrace[],
  could: (trace: RoundTrace) => Iterable<string>,
  happened: (trace: RoundTrace, party: string) => boolean,
): Map<string, Count> {
  const counts = new Map<string, Count>();
  for (const trace of traces)
    for (const party of could(trace)) {
      const own = counts.get(party) ?? { trials: 0, events: [] };
      counts.set(party, own);
      own.trials++;
      if (happened(trace, party)) own.events.push(trace);
    }
  return counts;
}

const place = (rounds: readonly RoundTrace[]): Pick<Anomaly, 'task' | 'rounds' | 'index'> => ({
  task: new Set(rounds.map(({ task }) => task)).size === 1 ? rounds[0]!.task : null,
  rounds: rounds.map(({ number }) => number),
  index: rounds[0]!.openIndex,
});

/** Rules 2 to 5: what happens to parties. `prior`: one in so many rounds is taken for usual before anything is known. */
function ofParties(t: Transcript, traces: readonly RoundTrace[]): Anomaly[] {
  const wasRevoked = (name: string, { lastIndex }: RoundTrace): boolean =>
    (t.parties.get(name)?.revokedIndex ?? Number.POSITIVE_INFINITY) < lastIndex;
  const found = (code: AnomalyCode, all: [string, Count][], words: (own: Count) => string): Anomaly[] =>
    all.map(([party, own]) => anomaly(code, { party, ...place(own.events), text: `${party} ${words(own)}` }));
  const dropping = count(
    traces,
    (trace) => [...trace.asked].filter((node) => !wasRevoked(node, trace)),
    ({ dropped }, node) => dropped.has(node),
  );
  const complaining = count(
    traces,
    ({ holders }) => holders,
    ({ complaints }, holder) => complaints.some((complaint) => complaint.holder === holder),
  );
  const accused = ([holder, { events }]: [string, Count]): Set<string> =>
    new Set(events.flatMap(({ complaints }) => complaints.filter((c) => c.holder === holder).map(({ node }) => node)));
  const complained = count(
    traces.filter(({ holders }) => holders.size > 0),
    ({ cohort, complaints }) => new Set([...cohort, ...complaints.map(({ node }) => node)]),
    ({ complaints }, node) => complaints.some((complaint) => complaint.node === node),
  );
  const named = count(
    traces,
    ({ answered }) => answered,
    ({ liars }, member) => liars.has(member),
  );
  return [
    ...found('NODE_DROPS_OUT', standOut(dropping, 20), ({ events, trials }) => {
      return `uploaded and did not confirm in ${events.length} of ${trials} rounds`;
    }),
    ...found(
      'HOLDER_COMPLAINS',
      standOut(complaining, 100).filter((own) => accused(own).size > 1),
      ({ events, trials }) =>
        `could not use boxes in ${events.length} of ${trials} rounds; it, or who hands them out, may be at fault`,
    ),
    ...found('NODE_COMPLAINED_OF', standOut(complained, 100), ({ events, trials }) => {
      return `sealed boxes that could not be used in ${events.length} of ${trials} rounds, as their holders say`;
    }),
    ...found('MEMBER_NAMED', standOut(named, 100), ({ events, trials }) => {
      return `was named by a recipient in ${events.length} of ${trials} rounds that it answered`;
    }),
  ];
}

/** Rule 1. Each further abort is the less surprising the more there were: (aborts + 1) / (rounds + 10), by what came before it. */
function abortsInARow(task: string, rounds: readonly RoundTrace[]): Anomaly[] {
  const found: Anomaly[] = [];
  const ended = rounds.filter(({ outcome }) => outcome === 'aborted' || outcome === 'released');
  let aborted = 0;
  for (let i = 0; i < ended.length; i++) {
    if (ended[i]!.outcome !== 'aborted') continue;
    const end = ended.findIndex(({ outcome }, j) => j > i && outcome !== 'aborted');
    const run = ended.slice(i, end < 0 ? ended.length : end);
    const chance = run.reduce((product, _, j) => (product * (aborted + 1 + j)) / (i + 10 + j), 1);
    if (run.length >= LEAST && chance < FALSE_ALARM / ended.length) {
      const reasons = [...new Set(run.map(({ reason }) => reason))].join(', ');
      const text = `${run.length} rounds of ${task} in a row were aborted (${reasons}), ${aborted} of ${i} before them`;
      found.push(anomaly('ABORTS_IN_A_ROW', { party: null, ...place(run), text }));
    }
    aborted += run.length;
    i += run.length - 1;
  }
  return found;
}

/** Rule 7. Rounds of one occasion count once: buckets are opened together, retries when the failure is seen. */
function openedInHaste(task: string, rounds: readonly RoundTrace[]): Anomaly[] {
  const first = [...new Map(rounds.toReversed().map((round) => [round.occasion, round])).values()];
  const opened = first.sort((a, b) => a.openIndex - b.openIndex);
  const gaps = opened.slice(1).map((round, i) => round.openTime - opened[i]!.openTime);
  for (let i = PACE_ROUNDS; i + LEAST <= gaps.length; i++) {
    const median = gaps.slice(0, i).sort((a, b) => a - b)[Math.floor(i / 2)]!;
    if (!gaps.slice(i, i + LEAST).every((gap) => gap * HASTE < median)) continue;
    const run = opened.slice(i + 1, i + 1 + LEAST);
    const text = `rounds of ${task} were opened every ${(Math.max(...gaps.slice(i, i + LEAST)) / 1000).toFixed(1)} s or faster, every ${(median / 1000).toFixed(1)} s before`;
    return [anomaly('OPENED_IN_HASTE', { party: null, ...place(run), text })];
  }
  return [];
}

/** Ends that one node of the set can cause. */
const SABOTAGE = ['KEY_DOES_NOT_FIT', 'BOX_UNREADABLE', 'BOX_DISPUTED'];

/** Rule 8. A set of |U| of E nodes, drawn at random, holds one of them with probability |U| / E. */
function inAllFailedSets(task: string, rounds: readonly RoundTrace[]): Anomaly[] {
  const nodes = new Set(rounds.flatMap(({ uploaded }) => [...uploaded]));
  const failed = rounds.filter(({ reason, cohort }) => SABOTAGE.includes(reason ?? '') && cohort.length > 0);
  const opened = rounds.filter(
    (round) => round.outcome === 'released' && round.openIndex > (failed[0]?.openIndex ?? 0),
  );
  if (failed.length < 2) return [];
  return [...nodes].flatMap((party) => {
    if (!failed.every(({ cohort }) => cohort.includes(party))) return [];
    if (opened.some(({ cohort }) => cohort.includes(party))) return [];
    const chance = [
      ...failed.map(({ cohort }) => cohort.length / nodes.size),
      ...opened.map(({ cohort }) => 1 - cohort.length / nodes.size),
    ].reduce((product, part) => product * part, 1);
    if (chance >= FALSE_ALARM / nodes.size) return [];
    const text = `${party} was in all ${failed.length} sets of ${task} that could not be opened, and in none of ${opened.length} opened since`;
    return [anomaly('IN_ALL_FAILED_SETS', { party, ...place(failed), text })];
  });
}

/** Rule 6. */
function revokedInRounds(t: Transcript, traces: readonly RoundTrace[]): Anomaly[] {
  return [...t.parties.values()].flatMap(({ name, revokedIndex: index }) => {
    if (index === undefined) return [];
    const during = traces.filter(({ openIndex, lastIndex, uploaded, holders, asked }) => {
      return openIndex < index && index < lastIndex && (uploaded.has(name) || asked.has(name) || holders.has(name));
    });
    if (during.length === 0) return [];
    const text = `${name} was revoked while it took part in ${during.length === 1 ? 'a round' : `${during.length} rounds`}`;
    return [anomaly('REVOKED_IN_A_ROUND', { party: name, ...place(during), index, text })];
  });
}

/**
 * What is odd in a log that keeps all rules. Says who or what to look at and nothing about guilt: whoever serves boxes,
 * a bad line, or a clock can make honest parties look so.
 *
 * @param t - the state after the last leaf.
 * @param traces - every round of the log, in the order of their open leaves.
 * @returns in the order of their rules.
 */
export function anomaliesOf(t: Transcript, traces: readonly RoundTrace[]): Anomaly[] {
  const tasks = [...Map.groupBy(traces, ({ task }) => task)];
  const found = [
    ...tasks.flatMap(([task, rounds]) => abortsInARow(task, rounds)),
    ...ofParties(t, traces),
    ...revokedInRounds(t, traces),
    ...tasks.flatMap(([task, rounds]) => openedInHaste(task, rounds)),
    ...tasks.flatMap(([task, rounds]) => inAllFailedSets(task, rounds)),
  ];
  return found.sort((a, b) => a.rule - b.rule);
}
