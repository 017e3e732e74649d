import { DigestSet } from './digest-set.ts';
import type { Body } from './leaves.ts';
import { newLedger } from './ledger.ts';
import { isFailed, setOf } from './retry.ts';
import type { Announce, Decision, ModelEntry, Party, Round, Seen, SeenSet, Transcript, Upload } from './transcript.ts';
import { NO_LOG } from './verified.ts';

/** What one counted leaf changes. Rules return it; `applyPatch` alone writes, so a rejected leaf cannot have changed anything. */
export interface Patch {
  readonly genesis?: { readonly body: Body<'genesis'>; readonly logId: string };
  readonly quorum?: Transcript['quorum'];
  readonly parties?: readonly Party[];
  readonly keys?: readonly string[];
  readonly nonces?: readonly string[];
  /** Hash of the leaf itself. */
  readonly leaf?: string;
  readonly announce?: Announce;
  readonly round?: Round;
  readonly close?: { readonly hash: string; readonly round: string };
  readonly decide?: { readonly hash: string; readonly round: string; readonly window: string };
  readonly model?: ModelEntry;
  readonly ledger?: Transcript['ledger'];
}

/**
 * The state before the first leaf.
 *
 * @param newSet - makes what holds the values that may not occur twice.
 */
export function emptyTranscript(newSet: (name: string) => SeenSet = () => new DigestSet()): Transcript {
  return {
    genesis: null,
    logId: NO_LOG,
    size: 0,
    quorum: { number: 0, members: [], threshold: 0 },
    parties: new Map(),
    keys: newSet('keys'),
    nonces: newSet('nonces'),
    leaves: newSet('leaves'),
    announces: new Map(),
    rounds: new Map(),
    roundOfClose: new Map(),
    roundOfDecide: new Map(),
    decidedWindows: new Set(),
    models: [],
    ledger: newLedger(0),
  };
}

/**
 * The state after one more leaf. Takes `transcript` over: its maps are extended in place (a log has many rounds, and
 * copying them for each leaf would make reading a log quadratic), so the old value must not be used again.
 */
export function applyPatch(transcript: Transcript, patch: Patch): Transcript {
  const { parties, keys, nonces, leaves, announces, rounds, roundOfClose, roundOfDecide, decidedWindows, models } =
    transcript as Mutable;
  for (const party of patch.parties ?? []) parties.set(party.name, party);
  for (const key of patch.keys ?? []) keys.add(key);
  for (const nonce of patch.nonces ?? []) nonces.add(nonce);
  if (patch.leaf !== undefined) leaves.add(patch.leaf);
  if (patch.announce !== undefined) announces.set(patch.announce.hash, patch.announce);
  if (patch.round !== undefined) rounds.set(patch.round.id, patch.round);
  if (patch.close !== undefined) roundOfClose.set(patch.close.hash, patch.close.round);
  if (patch.decide !== undefined) {
    roundOfDecide.set(patch.decide.hash, patch.decide.round);
    decidedWindows.add(patch.decide.window);
  }
  if (patch.model !== undefined) models.push(patch.model);
  return {
    ...transcript,
    size: transcript.size + 1,
    ...(patch.genesis === undefined ? {} : { genesis: patch.genesis.body, logId: patch.genesis.logId }),
    ...(patch.quorum === undefined ? {} : { quorum: patch.quorum }),
    ...(patch.ledger === undefined ? {} : { ledger: patch.ledger }),
  };
}

/**
 * Drops what no rule reads of a round that has its result or was aborted: uploads, attempts, answers and the announced
 * keys. For who reads a log once and keeps facts of his own; parties have duties that look back.
 *
 * Law: `takeLeaf` says the same to every later leaf.
 */
export function dropDetail(transcript: Transcript, id: string): void {
  const { rounds, announces } = transcript as Mutable;
  const round = rounds.get(id);
  if (round?.phase !== 'released' && round?.phase !== 'aborted') return;
  // Field by field: a spread would keep what earlier phases left in the object.
  const { openHash, openIndex, openTime, record } = round;
  // Retries are closed over parts of the set that failed.
  const cohort = isFailed(round) ? setOf(round) : [];
  const isDisputed = isFailed(round) && round.phase === 'aborted' && round.decision === null;
  const attempts = isDisputed ? round.attempts.slice(-1).map((last) => ({ ...last, ...without(cohort) })) : [];
  const base = { id, openHash, openIndex, openTime, record: bareRecord(record), uploads: NONE, attempts };
  if (round.phase === 'released') {
    const { resultHash, releasedBy, liars } = round;
    const decision = bareDecision(round.decision);
    rounds.set(id, { ...base, phase: 'released', decision, resultHash, releasedBy, liars });
  } else {
    const decision = round.decision === null ? null : bareDecision(round.decision, cohort);
    rounds.set(id, { ...base, phase: 'aborted', reason: round.reason, decision });
  }
  const announce = announces.get(round.record.announce);
  if (announce !== undefined) announces.set(announce.hash, { ...announce, roundKeys: NONE });
}

/** One for all: most of what is left of a round would be empty maps. Nobody writes into what has ended. */
const NONE: ReadonlyMap<string, never> = new Map<string, never>();
const NOBODY: ReadonlySet<string> = new Set();

/** Without the leaves of the round keys: a key serves one round, whoever announces it again. */
function bareRecord(record: Round['record']): Round['record'] {
  const bare = ({ name }: { readonly name: string }) => ({ name, roundKey: '' });
  return { ...record, members: record.members.map(bare), recipients: record.recipients.map(bare) };
}

/** What an attempt keeps: its set, where that is still asked for. */
function without(cohort: readonly Upload[]) {
  return { confirms: NONE, complaints: NONE, ready: NOBODY, readyRecipients: NOBODY, cohort };
}

function bareDecision(decision: Decision, cohort: readonly Upload[] = []): Decision {
  return {
    ...decision,
    attempt: { ...decision.attempt, ...without(cohort) },
    body: { ...decision.body, confirms: [] },
    answers: NONE,
  };
}

type Writable<T> =
  T extends ReadonlyMap<infer K, infer V>
    ? Map<K, V>
    : T extends ReadonlySet<infer V>
      ? Set<V>
      : T extends readonly (infer V)[]
        ? V[]
        : T extends Seen
          ? SeenSet
          : T;
type Mutable = { -readonly [K in keyof Transcript]: Writable<Transcript[K]> };
