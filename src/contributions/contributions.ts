import type { AuditInput } from '../../protocols/audit.ts';
import type { Task } from '../../protocols/task.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { readVerified } from '../audit/read-verified.ts';
import {
  attend,
  attendanceOf,
  attendByGroup,
  type GroupAttendance,
  type NodeAttendance,
  type RoundAttendance,
} from './attendance.ts';
import { type BucketScore, type Credit, creditUnits, scoreBuckets } from './bucket-credit.ts';
import { ContributionError } from './errors.ts';
import { type OpenedSum, readOpenedSums } from './opened-sums.ts';

export interface ContributionRequest {
  /** What an auditor of the log is given. */
  readonly input: Omit<AuditInput, 'newBins'>;
  /** A recipient's folder and its task files: the sums that it opened are read from its disk. Null: the log alone. */
  readonly recipient: { readonly folder: string; readonly tasks: readonly Task[] } | null;
}

/** How the rounds of a log ended. */
export interface RoundCounts {
  readonly released: number;
  /** Decided, and then not opened. */
  readonly notOpened: number;
  /** Ended without a decision: the log does not tell whose fault that was. */
  readonly undecided: number;
  readonly running: number;
}

/** Rows, as far as sums tell. */
export interface RowsOfRound {
  readonly number: number;
  readonly task: string;
  readonly nodes: number;
  /** Noised number of training records of all nodes together. */
  readonly records: number;
  /** One standard deviation. */
  readonly noise: number;
}

/** Of one node: what the sums with it held, which is the nodes' together. */
export interface RowsAround {
  readonly node: string;
  readonly sums: number;
  /** Noised records in the sums that it was in, each divided by the sum's nodes, on average. */
  readonly perNode: number;
}

export interface SumsReport {
  readonly read: number;
  readonly released: number;
  readonly rows: readonly RowsOfRound[];
  readonly around: readonly RowsAround[];
  readonly groups: readonly (readonly BucketScore[])[];
  readonly credit: { readonly nodes: readonly Credit[]; readonly regions: readonly Credit[] };
}

export interface Contributions {
  readonly log: { readonly origin: string; readonly leaves: number; readonly root: string; readonly genesis: string };
  readonly genesisPinned: boolean;
  readonly rounds: RoundCounts;
  readonly nodes: readonly NodeAttendance[];
  readonly regions: readonly GroupAttendance[];
  readonly organisations: readonly GroupAttendance[];
  /** Null without a recipient's folder: the log holds no sums. */
  readonly sums: SumsReport | null;
}

/**
 * What every node and region did for the rounds of a log that verifies. Opens nothing: sums are those that the recipient has
 * on its disk.
 *
 * @throws ContributionError NOT_VERIFIED, FILES_MISSING, NO_SUMS, SUM_DIFFERS.
 */
export async function contributionsOf(request: ContributionRequest): Promise<Contributions> {
  const { result, rounds } = readVerified(request.input, attendanceOf, (code, why) => {
    return new ContributionError(code, why);
  });
  const t = result.transcript;
  const nodes = attend(t, rounds);
  const { recipient } = request;
  return {
    log: {
      origin: result.head!.origin,
      leaves: result.leaves,
      root: result.head!.root,
      genesis: t.logId,
    },
    genesisPinned: result.genesisPinned,
    rounds: countsOf(rounds),
    nodes,
    regions: attendByGroup(nodes, 'region'),
    organisations: attendByGroup(nodes, 'organisation'),
    sums:
      recipient === null
        ? null
        : sumsReport(t, rounds, await readOpenedSums(t, rounds, recipient.folder, recipient.tasks)),
  };
}

function countsOf(rounds: readonly RoundAttendance[]): RoundCounts {
  const isEnded = ({ outcome }: RoundAttendance): boolean => outcome === 'released' || outcome === 'aborted';
  const count = (is: (round: RoundAttendance) => boolean): number => rounds.filter(is).length;
  return {
    released: count(({ outcome }) => outcome === 'released'),
    notOpened: count(({ outcome, decideIndex }) => outcome === 'aborted' && decideIndex !== null),
    undecided: count(({ outcome, decideIndex }) => outcome === 'aborted' && decideIndex === null),
    running: count((round) => !isEnded(round)),
  };
}

function sumsReport(t: Transcript, rounds: readonly RoundAttendance[], sums: readonly OpenedSum[]): SumsReport {
  const groups = scoreBuckets(t, sums);
  const regionOf = (node: string): string => t.parties.get(node)!.region;
  return {
    read: sums.length,
    released: rounds.filter(({ outcome }) => outcome === 'released').length,
    rows: sums.flatMap(({ round: { number, task, cohort }, records, recordsNoise }) =>
      records === null ? [] : [{ number, task, nodes: cohort.length, records, noise: recordsNoise! }],
    ),
    around: aroundNodes(sums),
    groups,
    credit: { nodes: creditUnits(groups, (node) => node), regions: creditUnits(groups, regionOf) },
  };
}

function aroundNodes(sums: readonly OpenedSum[]): RowsAround[] {
  const shares = new Map<string, number[]>();
  for (const { round, records } of sums) {
    if (records === null) continue;
    for (const node of round.cohort) {
      const own = shares.get(node) ?? [];
      own.push(records / round.cohort.length);
      shares.set(node, own);
    }
  }
  return [...shares].map(([node, own]) => ({
    node,
    sums: own.length,
    perNode: own.reduce((sum, value) => sum + value, 0) / own.length,
  }));
}
