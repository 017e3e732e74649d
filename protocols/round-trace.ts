import { type Attempt, decisionOf, type Round } from './transcript.ts';

/** What is kept of a round for looking at a log as a whole, once its leaves were read: who did what, no payload. */
export interface RoundTrace {
  readonly id: string;
  readonly number: number;
  readonly task: string;
  /** Rounds over one model and window: retries, and buckets, which are opened together. */
  readonly occasion: string;
  readonly openIndex: number;
  /** The coordinator's clock, ms since 1970. */
  readonly openTime: number;
  /** Leaf index of the last act that the round shows. */
  readonly lastIndex: number;
  readonly outcome: Round['phase'];
  readonly reason: string | null;
  /** Nodes that uploaded. */
  readonly uploaded: ReadonlySet<string>;
  /** Nodes that were asked to confirm a set, whatever became of them. */
  readonly asked: ReadonlySet<string>;
  /** Of these, those that the round went on, or ended, without. */
  readonly dropped: ReadonlySet<string>;
  /** Members and recipients that had boxes to look into. */
  readonly holders: ReadonlySet<string>;
  /** Who could not use whose box, settled by a second one or not; each pair once. */
  readonly complaints: readonly { readonly holder: string; readonly node: string }[];
  /** The decided set, or the one that was disputed last; empty where none was confirmed by all. */
  readonly cohort: readonly string[];
  /** Members that answered, and those of them that a recipient named. */
  readonly answered: ReadonlySet<string>;
  readonly liars: ReadonlySet<string>;
}

/** Ends that say that a set was too small for want of confirmations: nobody else's doing. */
const FOR_WANT_OF_NODES = ['COHORT_TOO_SMALL', 'TOO_FEW_ORGS', 'TOO_MANY_ATTEMPTS'];

const isConfirmed = ({ confirms, cohort }: Attempt): boolean => confirms.size === cohort.length;

/** Who did not confirm, in attempts that were given up for that. */
function droppedIn(round: Round): Set<string> {
  const wasShort = round.phase === 'aborted' && FOR_WANT_OF_NODES.includes(round.reason);
  const givenUp = round.attempts.filter((_, i) => i < round.attempts.length - 1 || wasShort);
  return new Set(
    givenUp.flatMap(({ cohort, confirms }) => cohort.map(({ node }) => node).filter((node) => !confirms.has(node))),
  );
}

function complaintsOf(round: Round): RoundTrace['complaints'] {
  const pairs = new Map<string, { holder: string; node: string }>();
  for (const { complaints, confirms } of round.attempts)
    for (const { node, hash } of confirms.values())
      for (const holder of complaints.get(hash)?.keys() ?? []) pairs.set(`${holder} ${node}`, { holder, node });
  return [...pairs.values()];
}

/** Reads a round with all its leaves: `auditing` gives them before it drops them. */
export function traceOf(round: Round): RoundTrace {
  const { record, openIndex, openTime, attempts, phase } = round;
  const decision = decisionOf(round);
  const looked = attempts.some(isConfirmed) ? [...record.members, ...record.recipients].map(({ name }) => name) : [];
  const disputed = attempts.findLast(({ complaints }) => complaints.size > 0);
  const acts = attempts.flatMap(({ closeIndex, confirms }) => [
    closeIndex,
    ...[...confirms.values()].map((c) => c.index),
  ]);
  const answers = [...(decision?.answers ?? [])];
  return {
    id: round.id,
    number: record.number,
    task: record.task,
    occasion: `${record.taskHash}/${record.modelHash}/${record.window}`,
    openIndex,
    openTime,
    lastIndex: Math.max(
      openIndex,
      ...[...round.uploads.values()].map(({ index }) => index),
      ...acts,
      decision?.index ?? 0,
      ...answers.map(([, { index }]) => index),
    ),
    outcome: phase,
    reason: phase === 'aborted' ? round.reason : null,
    uploaded: new Set(round.uploads.keys()),
    asked: new Set(attempts.flatMap(({ cohort }) => cohort.map(({ node }) => node))),
    dropped: droppedIn(round),
    holders: new Set(looked),
    complaints: complaintsOf(round),
    cohort: ((decision?.attempt ?? disputed)?.cohort ?? []).map(({ node }) => node),
    answered: new Set(answers.map(([member]) => member)),
    liars: new Set(phase === 'released' ? round.liars : []),
  };
}
