import { openCheckpoint, type VerifiedCheckpoint } from '../crypto/checkpoint.ts';
import { bytesEqual, fromUtf8, toHex } from '../crypto/encoding.ts';
import { type FileReader, LogWalk } from '../crypto/log-files.ts';
import { type Policy, parsePolicy } from '../crypto/policy.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { LeafReader, type RootAt } from './audit-leaves.ts';
import { leastGenesisWitnesses, namesLogKey, witnessKeysOf } from './audit-policy.ts';
import { type Remark, type RoundSummary, remarkRounds, summarise } from './audit-rounds.ts';
import { CHECKS } from './checks.ts';
import { type Finding, finding } from './findings.ts';
import { type Bins, memoryBins, type Reading, readings } from './repeats.ts';
import type { Round, Transcript } from './transcript.ts';

/** What an auditor has: files, a policy, perhaps a pin and an earlier head. No network, no trust in anybody's word. */
export interface AuditInput {
  readonly policyFile: Uint8Array;
  readonly checkpoint: Uint8Array;
  /** Bytes of a file of the log by its C2SP tlog-tiles path. Some are asked for more than once. */
  readonly readFile: FileReader;
  /** The genesis hash the auditor was given by other means; null: the minimums are the log's own. */
  readonly genesisPin: string | null;
  /** A checkpoint the auditor saw earlier; null for none. */
  readonly since: Uint8Array | null;
  /** Where to put aside what may not occur twice; left out: memory, 8 bytes for each. */
  readonly newBins?: () => Bins;
}

/** A log's head as evidence: what it claims, for printing next to another one. */
export interface Head {
  readonly origin: string;
  readonly size: number;
  /** Hexadecimal. */
  readonly root: string;
  readonly cosigners: readonly { readonly name: string; readonly timestamp: number }[];
  /** The signed note itself: two that contradict each other are the evidence. Text of whoever wrote the file. */
  readonly note: string;
}

export interface AuditResult {
  readonly verdict: 'verified' | 'violation' | 'undecided';
  /** Null where the checkpoint or the policy could not be read. */
  readonly head: Head | null;
  /** The earlier head, where one was given and could be read. */
  readonly since: Head | null;
  readonly genesisPinned: boolean;
  /** Leaves read and judged. */
  readonly leaves: number;
  readonly findings: readonly Finding[];
  readonly remarks: readonly Remark[];
  readonly rounds: readonly RoundSummary[];
  /** Checks that this audit says nothing about, with the reason. Check 15 is in it: see audit-blobs.ts. */
  readonly notChecked: readonly { readonly check: number; readonly why: string }[];
  /** The state after the last good leaf. */
  readonly transcript: Transcript;
}

function headOf({ checkpoint, cosignatures }: VerifiedCheckpoint, note: Uint8Array): Head {
  const cosigners = cosignatures.map(({ witness, timestamp }) => ({ name: witness.name, timestamp }));
  return {
    origin: checkpoint.origin,
    size: checkpoint.size,
    root: toHex(checkpoint.root),
    cosigners,
    note: fromUtf8(note),
  };
}

function openHead(p: Primitives, note: Uint8Array, policy: Policy): VerifiedCheckpoint | null {
  try {
    return openCheckpoint(p, note, policy);
  } catch {
    return null;
  }
}

/** Check 6: the root over the first leaves is the head seen before. */
function checkSince(
  since: VerifiedCheckpoint,
  head: VerifiedCheckpoint,
  leaves: number,
  rootAt: RootAt,
): Finding | null {
  const { origin, size, root } = since.checkpoint;
  if (origin !== head.checkpoint.origin) return finding('WRONG_ORIGIN', null, 'the earlier head is of another log');
  if (size > head.checkpoint.size) {
    return finding('ROLLED_BACK', null, 'the log is shorter than the head seen before');
  }
  if (size > leaves) return null; // files are missing: said elsewhere
  const own = rootAt(size);
  return own === null || bytesEqual(own, root)
    ? null
    : finding('SPLIT_VIEW', null, 'the log does not extend the head seen before');
}

/** Check 4, its remark: a witness that cosigned the larger head at an earlier time. */
function remarkTimes(since: Head, head: Head): Remark[] {
  return head.cosigners.flatMap(({ name, timestamp }) => {
    const before = since.cosigners.find((other) => other.name === name)?.timestamp ?? 0;
    if (timestamp >= before || head.size < since.size) return [];
    const text = `witness ${name} dates this head ${before - timestamp} s before the earlier one`;
    return [{ code: 'TIMES_NOT_MONOTONE', index: null, text } as const];
  });
}

/** Check 2 against genesis: else the cosignatures prove less than the log claims. */
function checkPolicy(policy: Policy, transcript: Transcript): Finding[] {
  const { genesis } = transcript;
  if (genesis === null) return [];
  const findings: Finding[] = [];
  if (!namesLogKey(policy, genesis)) {
    findings.push(finding('POLICY_OTHER_LOG', 0, 'the policy names another key for this log than genesis'));
  }
  const { witnesses, needed } = genesis.cosigning;
  const least = leastGenesisWitnesses(policy, witnessKeysOf(genesis));
  if (least < needed) {
    const why = `genesis asks for ${needed} of its ${witnesses} witnesses, the policy is content with ${least} of them`;
    findings.push(finding('POLICY_TOO_WEAK', 0, why));
  }
  return findings;
}

function notChecked(input: AuditInput): AuditResult['notChecked'] {
  const list = CHECKS.flatMap(({ id, notClaimed }) =>
    notClaimed === undefined ? [] : [{ check: id, why: `not claimed: ${notClaimed}` }],
  );
  if (input.genesisPin === null) {
    list.push({
      check: 3,
      why: "genesis is not pinned: its keys, minimums and budget are the log's own (--genesis HASH)",
    });
  }
  if (input.since === null) {
    list.push({ check: 6, why: 'no earlier head was given: an earlier view may have been another one (--since FILE)' });
  }
  return list.sort((a, b) => a.check - b.check);
}

/**
 * Audits a log's files. Pure and offline; reads every byte of every file of the head's tree, bundle by bundle. What it
 * keeps: the tree's edge, running rounds, and what the report says of every round.
 *
 * @returns `verified` when nothing was found, `violation` when something was, `undecided` when files are missing.
 */
export function audit(p: Primitives, input: AuditInput): AuditResult {
  const rounds = auditing(p, input);
  for (;;) {
    const step = rounds.next();
    if (step.done === true) return step.value;
  }
}

/**
 * The same, round by round.
 *
 * @returns every round with all its leaves as soon as it has ended, then those without an end. The log may be read a second
 * time, and then all rounds come again: the last word about each counts, if the result has the round at all.
 */
export function* auditing(p: Primitives, input: AuditInput): Generator<Round, AuditResult> {
  let policy: Policy;
  try {
    policy = parsePolicy(p, input.policyFile);
  } catch {
    const why = 'the policy file is not a C2SP tlog-policy';
    return unread(p, input, finding('POLICY_INVALID', null, why));
  }
  const head = openHead(p, input.checkpoint, policy);
  if (head === null) {
    const why = 'the checkpoint is not signed by a log of the policy: is it the policy of this log?';
    return unread(p, input, finding('BAD_CHECKPOINT', null, why));
  }
  const all = readings(head.checkpoint.root, input.newBins ?? memoryBins);
  for (;;) {
    const { value: reading } = all.next();
    const result = yield* readOnce(p, input, { policy, head, reading });
    if (reading.isExact()) return result;
  }
}

/** What there is to say when no leaf can be read. */
function unread(p: Primitives, input: AuditInput, problem: Finding): AuditResult {
  const { value: reading } = readings(new Uint8Array(8), memoryBins).next();
  return resultOf(input, new LeafReader(p, input.genesisPin, reading), [problem], null, null);
}

interface Opened {
  readonly policy: Policy;
  readonly head: VerifiedCheckpoint;
  readonly reading: Reading;
}

function* readOnce(p: Primitives, input: AuditInput, { policy, head, reading }: Opened): Generator<Round, AuditResult> {
  const findings: Finding[] = [];
  if (!head.quorum) findings.push(finding('NOT_COSIGNED', null, 'fewer witnesses than the policy asks for'));
  const { size, root } = head.checkpoint;
  if (size === 0) findings.push(finding('GENESIS_NOT_FIRST', null, 'the log is empty'));
  const reader = new LeafReader(p, input.genesisPin, reading);
  const walk = new LogWalk(p, size, input.readFile);
  const rootAt: RootAt = (leaves) => walk.rootAt(leaves);
  for (const { first, entries, hashes } of walk.bundles()) {
    for (const [i, entry] of entries.entries()) {
      const ended = reader.take(entry, first + i, rootAt, hashes[i]!);
      if (ended === undefined) continue;
      yield ended;
      reader.drop(ended);
    }
  }
  yield* reader.running();
  const since = input.since === null ? null : openHead(p, input.since, policy);
  const ofSince: Finding[] = [];
  const complete = walk.findings.every(({ path }) => !path.startsWith('tile/entries/'));
  if (input.since !== null && since === null) {
    const why = 'the earlier checkpoint is not signed by a log of the policy: is it the policy of this log?';
    ofSince.push(finding('BAD_CHECKPOINT', null, why));
  }
  if (since !== null) {
    const problem = checkSince(since, head, complete ? size : 0, rootAt);
    if (problem !== null) ofSince.push(problem);
  }
  for (const { path, reason } of walk.findings) {
    const code = reason === 'MISSING' ? 'FILE_MISSING' : reason === 'MALFORMED' ? 'FILE_MALFORMED' : 'TILE_MISMATCH';
    findings.push(finding(code, null, path));
  }
  if (complete && !bytesEqual(walk.root, root)) {
    findings.push(finding('ROOT_MISMATCH', null, 'the entries do not give the root of the checkpoint'));
  }
  findings.push(...ofSince, ...checkPolicy(policy, reader.transcript));
  const { genesis } = reader.transcript;
  if (genesis !== null && genesis.origin !== head.checkpoint.origin) {
    findings.push(finding('WRONG_ORIGIN', 0, 'genesis names another origin than the checkpoint'));
  }
  return resultOf(
    input,
    reader,
    findings,
    headOf(head, input.checkpoint),
    since === null ? null : headOf(since, input.since!),
  );
}

/** @param findings - of files and heads; those of leaves come after them. */
function resultOf(
  input: AuditInput,
  reader: LeafReader,
  findings: readonly Finding[],
  head: Head | null,
  since: Head | null,
): AuditResult {
  const { transcript, leaves } = reader;
  const all = [...findings, ...reader.findings];
  const onlyMissing = all.length > 0 && all.every(({ code }) => code === 'FILE_MISSING');
  const remarks = [...reader.remarks, ...remarkRounds(transcript, reader.facts)];
  if (head !== null) remarks.push(...reader.clocks.remarks(head));
  if (head !== null && since !== null) remarks.push(...remarkTimes(since, head));
  return {
    verdict: all.length === 0 ? 'verified' : onlyMissing ? 'undecided' : 'violation',
    head,
    since,
    genesisPinned: input.genesisPin === transcript.logId,
    leaves,
    findings: all,
    remarks,
    rounds: summarise(transcript, reader.facts),
    notChecked: notChecked(input),
    transcript,
  };
}
