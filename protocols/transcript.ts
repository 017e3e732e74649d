import type { Body, Role } from './leaves.ts';
import type { Ledger } from './ledger.ts';
import type { RoundRecord } from './record.ts';

/**
 * What the leaves so far say. Every party and every auditor computes the same state from the same leaves; nothing else
 * is trusted about a round. Only `rules.ts` and the files beside it change it, one verified leaf at a time.
 */
export interface Transcript {
  readonly genesis: Body<'genesis'> | null;
  /** Hash of the genesis body; NO_LOG before it. */
  readonly logId: string;
  /** Leaves taken in so far. */
  readonly size: number;
  /** Who holds the keys of rounds that are opened now; number 0 is the quorum of genesis. */
  readonly quorum: { readonly number: number; readonly members: readonly string[]; readonly threshold: number };
  readonly parties: ReadonlyMap<string, Party>;
  /** Every public key ever logged, of whatever kind, and the hashes of TLS keys: none is used twice. */
  readonly keys: Seen;
  /** Nonces and payload hashes of uploads, seed commitments of confirmations: none occurs twice. */
  readonly nonces: Seen;
  /** Hash of every leaf. The same bytes twice are never two acts. */
  readonly leaves: Seen;
  readonly announces: ReadonlyMap<string, Announce>;
  /** By round id. */
  readonly rounds: ReadonlyMap<string, Round>;
  readonly roundOfClose: ReadonlyMap<string, string>;
  readonly roundOfDecide: ReadonlyMap<string, string>;
  /** (task, model, window, failed decided round) that have a decision: there is never a second one. */
  readonly decidedWindows: ReadonlySet<string>;
  readonly models: readonly ModelEntry[];
  readonly ledger: Ledger;
}

/** What may not occur a second time in a log. */
export interface Seen {
  has(value: string): boolean;
  readonly size: number;
}

/** The same as whoever takes leaves in holds it. Law: as a `Set<string>`. */
export interface SeenSet extends Seen {
  add(value: string): void;
}

export interface Party {
  readonly name: string;
  readonly role: Role;
  readonly organisation: string;
  readonly region: string;
  /** Ed25519 public key, base64. */
  readonly key: string;
  readonly kemKey: string | null;
  /** What its peers know it by: of its enrolment, or of its newest `tls-key` leaf. */
  readonly tlsKeySha256: string;
  readonly index: number;
  readonly revoked: boolean;
  /** Leaf index of its revocation; absent while it stands. */
  readonly revokedIndex?: number;
}

export interface ModelEntry {
  /** Of its leaf. */
  readonly index: number;
  readonly number: number;
  readonly modelHash: string;
  readonly modelBytes: number;
  readonly sealedHash: string;
  readonly decide: string | null;
  readonly restores?: number | undefined;
}

export interface RoundKey {
  readonly hash: string;
  /** X-Wing public key, base64. */
  readonly kemKey: string;
}

export interface Announce {
  readonly hash: string;
  readonly index: number;
  readonly task: string;
  readonly number: number;
  readonly recipients: readonly string[];
  readonly roundKeys: ReadonlyMap<string, RoundKey>;
  readonly openedAs: string | null;
  /** Aborted before it was opened. */
  readonly isAborted: boolean;
}

export interface Upload {
  readonly index: number;
  readonly hash: string;
  readonly node: string;
  /** `key`: empty in a round without masks. */
  readonly body: Body<'upload'>;
  /** The leaf's own body in a round without masks, and in no other. */
  readonly shared?: Body<'one-shot'>;
}

/** How a node of U shared its key: in its confirmation, or, in a round without masks, in its upload. */
export interface Confirm {
  readonly index: number;
  readonly hash: string;
  readonly node: string;
  /** `checksum`: empty in a round without masks, where nobody signs one. */
  readonly body: Body<'confirm'>;
}

/** A holder's trouble with one node's box: `resealed` once the node sent a second box, `final` after a second complaint. */
export interface Complaint {
  readonly resealed: string | null;
  readonly final: boolean;
}

/** One close with what follows from it. */
export interface Attempt {
  readonly number: number;
  readonly close: string;
  readonly closeIndex: number;
  readonly sumHash: string;
  /** U, in the order of their upload leaves. */
  readonly cohort: readonly Upload[];
  readonly confirms: ReadonlyMap<string, Confirm>;
  /** By confirm leaf, then by holder: member or recipient. */
  readonly complaints: ReadonlyMap<string, ReadonlyMap<string, Complaint>>;
  /** Members that opened and checked all their boxes. */
  readonly ready: ReadonlySet<string>;
  /** Recipients that did. */
  readonly readyRecipients: ReadonlySet<string>;
}

export interface Decision {
  readonly hash: string;
  readonly index: number;
  readonly attempt: Attempt;
  readonly body: Body<'decide'>;
  readonly answers: ReadonlyMap<string, { readonly index: number; readonly body: Body<'answer'> }>;
}

interface RoundBase {
  readonly id: string;
  readonly openHash: string;
  readonly openIndex: number;
  /** The opener's clock, ms since 1970: informative. */
  readonly openTime: number;
  readonly record: RoundRecord;
  /** The nodes of its bucket; absent where the round is over all nodes, and once it was aborted. */
  readonly assigned?: ReadonlySet<string> | undefined;
  readonly uploads: ReadonlyMap<string, Upload>;
  readonly attempts: readonly Attempt[];
}

/** A round's life. `attempts` is empty while uploading and never empty afterwards, unless it was aborted before. */
export type Round =
  | (RoundBase & { readonly phase: 'uploading' })
  | (RoundBase & { readonly phase: 'confirming'; readonly attempt: Attempt })
  | (RoundBase & { readonly phase: 'decided'; readonly decision: Decision })
  | (RoundBase & {
      readonly phase: 'released';
      readonly decision: Decision;
      readonly resultHash: string;
      readonly releasedBy: readonly string[];
      /** Members that a recipient named: their answers did not hold, or contradicted, what opened. */
      readonly liars: readonly string[];
    })
  | (RoundBase & { readonly phase: 'aborted'; readonly reason: string; readonly decision: Decision | null });

/** Whether the round has neither a result nor an abort. It may still be over by its length: see `isOver`. */
export function isRunning(round: Round): boolean {
  return round.phase !== 'released' && round.phase !== 'aborted';
}

/** Whether the round has ended: by result, abort, or max_leaves after open, whichever the log shows first. */
export function isOver(transcript: Transcript, round: Round): boolean {
  return !isRunning(round) || transcript.size > round.openIndex + round.record.maxLeaves;
}

/** How many leaves an announcement may wait for its open leaf. */
export const MAX_ANNOUNCE_LEAVES = 4096;

/** Whether an announced round will never be opened: by its abort or the log's length, whichever the log shows first. */
export function isWithdrawn(transcript: Transcript, announce: Announce): boolean {
  if (announce.openedAs !== null) return false;
  return announce.isAborted || transcript.size > announce.index + MAX_ANNOUNCE_LEAVES;
}

/** The key, of a bucket where there are some, under which at most one decision ever exists: a round that ended undecided shares it with its retries. */
export function windowKey(
  t: Transcript,
  record: Pick<RoundRecord, 'taskHash' | 'modelHash' | 'window' | 'retryOf' | 'bucket'>,
): string {
  let { retryOf } = record;
  const isUndecided = (round: Round | undefined): round is Round => round !== undefined && decisionOf(round) === null;
  for (let named = t.rounds.get(retryOf ?? ''); isUndecided(named); named = t.rounds.get(retryOf ?? ''))
    retryOf = named.record.retryOf;
  const bucket = record.bucket === undefined ? '' : `/${record.bucket.index}`;
  return `${record.taskHash}/${record.modelHash}/${record.window}/${retryOf ?? ''}${bucket}`;
}

export function newestModel(transcript: Transcript): ModelEntry | null {
  return transcript.models.at(-1) ?? null;
}

export function findParty(transcript: Transcript, name: string): Party | null {
  return transcript.parties.get(name) ?? null;
}

/** What was decided of a round, also of one that was aborted afterwards; null before a decision and without one. */
export function decisionOf(round: Round): Decision | null {
  return 'decision' in round ? round.decision : null;
}

/** By the hash of a close leaf. */
export function findAttempt(t: Transcript, close: string): { round: Round; attempt: Attempt } | null {
  const round = t.rounds.get(t.roundOfClose.get(close) ?? '');
  const attempt = round?.attempts.find((a) => a.close === close);
  return round !== undefined && attempt !== undefined ? { round, attempt } : null;
}

/** By the hash of a decide leaf. */
export function findDecision(t: Transcript, decide: string): Decision | null {
  const round = t.rounds.get(t.roundOfDecide.get(decide) ?? '');
  return round === undefined ? null : decisionOf(round);
}
