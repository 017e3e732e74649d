import { bucketNodes } from '../../protocols/buckets.ts';
import { isStuck } from '../../protocols/disputes.ts';
import { decisionOf, type Party, type Round, type Transcript } from '../../protocols/transcript.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';

/**
 * What became of one node in one round that was decided. `revoked` and `not drawn` are nobody's absence: who was revoked on
 * the way was not asked any more, and the retry of a failed round is closed over a part of the nodes that nobody chooses.
 */
export type Part =
  | 'in'
  | 'missed'
  | 'gone after upload'
  | 'gone after confirming'
  | 'left out over boxes'
  | 'not drawn'
  | 'revoked';

/** What is kept of a round once its leaves are read: who did what, no payload. */
export interface RoundAttendance {
  readonly id: string;
  readonly number: number;
  readonly task: string;
  readonly openIndex: number;
  /** Of its decision; null where nothing was decided: then the log cannot tell whose fault that was. */
  readonly decideIndex: number | null;
  readonly outcome: Round['phase'];
  readonly reason: string | null;
  /** The decided U; empty without a decision. */
  readonly cohort: readonly string[];
  /** What the log shows of each node that uploaded, but for revocations. A void upload is none. */
  readonly uploaded: ReadonlyMap<string, Exclude<Part, 'missed'>>;
  /** Boxes of the node that holders complained about, settled by a second one or not. */
  readonly boxes: ReadonlyMap<string, Boxes>;
}

export interface Boxes {
  readonly settled: number;
  readonly unsettled: number;
}

/** Reads a round with all its leaves: `auditing` gives them before it drops them. */
export function attendanceOf(round: Round): RoundAttendance {
  const decision = decisionOf(round);
  return {
    id: round.id,
    number: round.record.number,
    task: round.record.task,
    openIndex: round.openIndex,
    decideIndex: decision?.index ?? null,
    outcome: round.phase,
    reason: round.phase === 'aborted' ? round.reason : null,
    cohort: decision?.attempt.cohort.map(({ node }) => node) ?? [],
    uploaded: new Map([...round.uploads.keys()].map((node) => [node, partOf(round, node)])),
    boxes: boxesOf(round),
  };
}

function partOf(round: Round, node: string): Exclude<Part, 'missed'> {
  const decided = decisionOf(round)?.attempt;
  if (decided?.cohort.some((upload) => upload.node === node)) return 'in';
  const own = round.attempts.filter(({ cohort }) => cohort.some((upload) => upload.node === node));
  const last = own.at(-1);
  // Uploads before the first close are all in it, but for those of the revoked and, in a retry, of the other half.
  if (last === undefined) return round.record.retryOf === null ? 'revoked' : 'not drawn';
  if (last.confirms.has(node)) return 'left out over boxes';
  return own.length > 1 ? 'gone after confirming' : 'gone after upload';
}

function boxesOf(round: Round): Map<string, Boxes> {
  const found = new Map<string, Boxes>();
  for (const attempt of round.attempts) {
    for (const { node, hash } of attempt.confirms.values()) {
      const holders = [...(attempt.complaints.get(hash)?.keys() ?? [])];
      if (holders.length === 0) continue;
      const unsettled = holders.filter((holder) => isStuck(attempt, hash, holder)).length;
      const before = found.get(node) ?? { settled: 0, unsettled: 0 };
      found.set(node, {
        settled: before.settled + holders.length - unsettled,
        unsettled: before.unsettled + unsettled,
      });
    }
  }
  return found;
}

/** One node's account over all rounds of a log. */
export interface NodeAttendance {
  readonly node: string;
  readonly region: string;
  readonly organisation: string;
  readonly enrolledAt: number;
  /** Leaf index; null while it stands. */
  readonly revokedAt: number | null;
  /** Rounds that were decided while it was enrolled, of its bucket where there are some. */
  readonly offered: number;
  /** In the decided set. */
  readonly taken: number;
  /** Of these, rounds whose sum was opened. */
  readonly opened: number;
  /** taken / offered; null where nothing was offered. */
  readonly uptime: number | null;
  readonly parts: Readonly<Record<Exclude<Part, 'in' | 'revoked'>, number>>;
  readonly boxes: Boxes;
  /** Rounds without a decision that it uploaded to: they count neither for it nor against it. */
  readonly uploadedInVain: number;
}

/** Whether a round is to be answered for by a node at all. */
function wasAsked(t: Transcript, round: RoundAttendance, party: Party): boolean {
  if (party.revokedIndex !== undefined && party.revokedIndex < round.decideIndex! && !round.cohort.includes(party.name))
    return false;
  if (round.uploaded.has(party.name)) return true;
  if (party.index > round.openIndex) return false;
  return bucketNodes(nodePrimitives, t, t.rounds.get(round.id)!.record)?.has(party.name) ?? true;
}

/**
 * Adds up what the log shows of every node, revoked ones too.
 *
 * Laws: only decided rounds are offered, so a round that the coordinator ends early, or that has no end yet, changes no
 * uptime; offered = taken + missed + gone + left out for every node (`not drawn` is not offered).
 *
 * @param rounds - every round of the log, each once. @param t - the state after its last leaf.
 */
export function attend(t: Transcript, rounds: readonly RoundAttendance[]): NodeAttendance[] {
  const nodes = [...t.parties.values()].filter(({ role }) => role === 'node');
  return nodes.map((party) => {
    const { name: node, region, organisation, index: enrolledAt } = party;
    const parts = {
      missed: 0,
      'gone after upload': 0,
      'gone after confirming': 0,
      'left out over boxes': 0,
      'not drawn': 0,
    };
    let [taken, opened, uploadedInVain, settled, unsettled] = [0, 0, 0, 0, 0];
    for (const round of rounds) {
      const boxes = round.boxes.get(node);
      settled += boxes?.settled ?? 0;
      unsettled += boxes?.unsettled ?? 0;
      if (round.decideIndex === null) {
        if (round.uploaded.has(node)) uploadedInVain++;
        continue;
      }
      if (!wasAsked(t, round, party)) continue;
      const part = round.uploaded.get(node) ?? 'missed';
      if (part === 'in') {
        taken++;
        if (round.outcome === 'released') opened++;
      } else if (part !== 'revoked') parts[part]++;
    }
    const offered =
      taken + parts.missed + parts['gone after upload'] + parts['gone after confirming'] + parts['left out over boxes'];
    return {
      ...{ node, region, organisation, enrolledAt, revokedAt: party.revokedIndex ?? null, offered, taken, opened },
      uptime: offered === 0 ? null : taken / offered,
      parts,
      boxes: { settled, unsettled },
      uploadedInVain,
    };
  });
}

/** The same over the nodes of a region or an organisation: node-rounds, not rounds. */
export interface GroupAttendance {
  readonly name: string;
  readonly nodes: number;
  readonly offered: number;
  readonly taken: number;
  readonly opened: number;
  readonly uptime: number | null;
}

export function attendByGroup(nodes: readonly NodeAttendance[], by: 'region' | 'organisation'): GroupAttendance[] {
  const groups = Map.groupBy(nodes, (node) => node[by]);
  return [...groups].map(([name, own]) => {
    const total = (field: 'offered' | 'taken' | 'opened'): number => own.reduce((sum, node) => sum + node[field], 0);
    const [offered, taken] = [total('offered'), total('taken')];
    const uptime = offered === 0 ? null : taken / offered;
    return { name, nodes: own.length, offered, taken, opened: total('opened'), uptime };
  });
}
