import { openCheckpoint, type VerifiedCheckpoint } from '../crypto/checkpoint.ts';
import { bytesEqual, toHex } from '../crypto/encoding.ts';
import { readLogFiles } from '../crypto/log-files.ts';
import { type Policy, parsePolicy } from '../crypto/policy.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { leastGenesisWitnesses, namesLogKey, witnessKeysOf } from './audit-policy.ts';
import { type Remark, type RoundSummary, remarkRounds, summarise } from './audit-rounds.ts';
import { CHECKS, checkOf, type FindingCode } from './checks.ts';
import { emptyTranscript } from './patch.ts';
import { takeLeaf } from './rules.ts';
import type { Transcript } from './transcript.ts';
import type { SignedLeaf, Verified } from './verified.ts';

/** What an auditor has: files, a policy, perhaps a pin and an earlier head. No network, no trust in anybody's word. */
export interface AuditInput {
  readonly policyFile: Uint8Array;
  readonly checkpoint: Uint8Array;
  /** Bytes of a file of the log by its C2SP tlog-tiles path. */
  readonly readFile: (path: string) => Uint8Array | undefined;
  /** The genesis hash the auditor was given by other means; null: the minimums are the log's own. */
  readonly genesisPin: string | null;
  /** A checkpoint the auditor saw earlier; null for none. */
  readonly since: Uint8Array | null;
}

/** A violation: what was found, where, and which rule it breaks. */
export interface Finding {
  /** Number of the check; null never occurs for codes of this version's rules. */
  readonly check: number | null;
  readonly code: FindingCode;
  /** Leaf index; null for findings about files. */
  readonly index: number | null;
  /** The rule. */
  readonly sentence: string;
  /** What is wrong here. May hold a file's path. */
  readonly why: string;
}

/** A log's head as evidence: what it claims, for printing next to another one. */
export interface Head {
  readonly origin: string;
  readonly size: number;
  /** Hexadecimal. */
  readonly root: string;
  readonly cosigners: readonly { readonly name: string; readonly timestamp: number }[];
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

/** Makes a finding: the check it belongs to gives the sentence of the rule. */
export function finding(code: FindingCode, index: number | null, why: string): Finding {
  const check = checkOf(code);
  return { check: check?.id ?? null, code, index, sentence: check?.sentence ?? '', why };
}

function headOf({ checkpoint, cosignatures }: VerifiedCheckpoint): Head {
  const cosigners = cosignatures.map(({ witness, timestamp }) => ({ name: witness.name, timestamp }));
  return { origin: checkpoint.origin, size: checkpoint.size, root: toHex(checkpoint.root), cosigners };
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
  rootAt: (size: number) => Uint8Array,
): Finding | null {
  const { origin, size, root } = since.checkpoint;
  if (origin !== head.checkpoint.origin) return finding('WRONG_ORIGIN', null, 'the earlier head is of another log');
  if (size > head.checkpoint.size) {
    return finding('ROLLED_BACK', null, 'the log is shorter than the head seen before');
  }
  if (size > leaves) return null; // files are missing: said elsewhere
  return bytesEqual(rootAt(size), root)
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

/** Clocks decide nothing. Differences above this are worth a line, in ms. */
const SKEW_MS = 60_000;

/** Check 22: the largest step back between a leaf's clock and the latest one before it. */
class Clocks {
  #latest = 0;
  #worst: { readonly ms: number; readonly index: number; readonly actor: string } | null = null;

  see({ leaf }: Verified<SignedLeaf>, index: number): void {
    const behind = this.#latest - leaf.time;
    if (behind > (this.#worst?.ms ?? SKEW_MS)) this.#worst = { ms: behind, index, actor: leaf.actor };
    this.#latest = Math.max(this.#latest, leaf.time);
  }

  remarks(head: Head): Remark[] {
    const remarks: Remark[] = [];
    if (this.#worst !== null) {
      const { ms, index, actor } = this.#worst;
      const text = `the clock of ${actor} is ${Math.round(ms / 1000)} s behind one that signed before it (the largest step back)`;
      remarks.push({ code: 'CLOCK_SKEW', index, text });
    }
    const cosigned = Math.max(0, ...head.cosigners.map(({ timestamp }) => timestamp)) * 1000;
    if (cosigned > 0 && this.#latest - cosigned > SKEW_MS) {
      const text = `a leaf is dated ${Math.round((this.#latest - cosigned) / 1000)} s after every cosignature over it`;
      remarks.push({ code: 'CLOCK_SKEW', index: null, text });
    }
    return remarks;
  }
}

function notChecked(input: AuditInput): AuditResult['notChecked'] {
  const list = CHECKS.flatMap(({ id, notClaimed }) =>
    notClaimed === undefined ? [] : [{ check: id, why: `not claimed: ${notClaimed}` }],
  );
  if (input.genesisPin === null) {
    list.push({
      check: 3,
      why: 'genesis is not pinned: its keys, minimums and budget are the log’s own (--genesis HASH)',
    });
  }
  if (input.since === null) {
    list.push({ check: 6, why: 'no earlier head was given: an earlier view may have been another one (--since FILE)' });
  }
  return list.sort((a, b) => a.check - b.check);
}

/** Reads the leaves one by one. Stops at the first that may not stand where it stands. */
class LeafReader {
  readonly findings: Finding[] = [];
  readonly remarks: Remark[] = [];
  readonly clocks = new Clocks();
  transcript = emptyTranscript();
  leaves = 0;
  readonly #p: Primitives;
  readonly #pin: string | null;

  constructor(p: Primitives, pin: string | null) {
    this.#p = p;
    this.#pin = pin;
  }

  take(bytes: Uint8Array, index: number, rootAt: (size: number) => Uint8Array): void {
    // What follows a bad leaf would be judged against a state that the log itself contradicts.
    if (this.leaves < index) return;
    const taken = takeLeaf(this.#p, this.transcript, bytes);
    if (taken.outcome === 'refused') {
      this.findings.push(finding(taken.rejection.rejected, index, taken.rejection.why));
      return;
    }
    this.leaves++;
    if (taken.outcome === 'void') {
      const { rejected, why } = taken.rejection;
      this.remarks.push({ code: 'VOID_LEAF', index, text: `counts for nothing: ${why} (${rejected})` });
    }
    this.transcript = taken.next;
    this.clocks.see(taken.signed, index);
    if (index === 0 && this.#pin !== null && this.transcript.logId !== this.#pin) {
      this.findings.push(finding('GENESIS_PIN', 0, 'this is not the log whose genesis was pinned'));
    }
    const { leaf } = taken.signed;
    if (leaf.kind === 'upload') this.#checkSeen(leaf.body.seen, index, rootAt);
  }

  /** Check 6: a node signs the head it last saw. Another root there is a fork that a node was shown. */
  #checkSeen(seen: { size: number; root: string }, index: number, rootAt: (size: number) => Uint8Array): void {
    if (seen.size > index || toHex(rootAt(seen.size)) !== seen.root) {
      this.findings.push(finding('SPLIT_VIEW', index, 'the node that signed this upload had seen another head'));
    }
  }
}

/**
 * Audits a log's files. Pure and offline; reads every byte of every file of the head's tree, bundle by bundle: what it
 * keeps is 64 bytes per leaf and the transcript.
 *
 * @returns `verified` when nothing was found, `violation` when something was, `undecided` when files are missing.
 */
export function audit(p: Primitives, input: AuditInput): AuditResult {
  const reader = new LeafReader(p, input.genesisPin);
  const findings: Finding[] = [];
  const result = (head: Head | null, since: Head | null): AuditResult => {
    const { transcript, leaves } = reader;
    const all = [...findings, ...reader.findings];
    const onlyMissing = all.length > 0 && all.every(({ code }) => code === 'FILE_MISSING');
    const remarks = [...reader.remarks, ...remarkRounds(transcript)];
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
      rounds: summarise(transcript),
      notChecked: notChecked(input),
      transcript,
    };
  };
  let policy: Policy;
  try {
    policy = parsePolicy(p, input.policyFile);
  } catch {
    findings.push(finding('POLICY_INVALID', null, 'the policy file is not a C2SP tlog-policy'));
    return result(null, null);
  }
  const head = openHead(p, input.checkpoint, policy);
  if (head === null) {
    findings.push(finding('BAD_CHECKPOINT', null, 'the checkpoint is not signed by a log of the policy'));
    return result(null, null);
  }
  if (!head.quorum) findings.push(finding('NOT_COSIGNED', null, 'fewer witnesses than the policy asks for'));
  const { size, root } = head.checkpoint;
  if (size === 0) findings.push(finding('GENESIS_NOT_FIRST', null, 'the log is empty'));
  const files = readLogFiles(p, size, input.readFile, (bytes, index, rootAt) => reader.take(bytes, index, rootAt));
  for (const { path, reason } of files.findings) {
    const code = reason === 'MISSING' ? 'FILE_MISSING' : reason === 'MALFORMED' ? 'FILE_MALFORMED' : 'TILE_MISMATCH';
    findings.push(finding(code, null, path));
  }
  const complete = files.findings.every(({ path }) => !path.startsWith('tile/entries/'));
  if (complete && !bytesEqual(files.root, root)) {
    findings.push(finding('ROOT_MISMATCH', null, 'the entries do not give the root of the checkpoint'));
  }
  const since = input.since === null ? null : openHead(p, input.since, policy);
  if (input.since !== null && since === null) {
    findings.push(finding('BAD_CHECKPOINT', null, 'the earlier checkpoint is not signed by a log of the policy'));
  }
  if (since !== null) {
    const problem = checkSince(since, head, complete ? size : 0, files.rootAt);
    if (problem !== null) findings.push(problem);
  }
  findings.push(...checkPolicy(policy, reader.transcript));
  const { genesis } = reader.transcript;
  if (genesis !== null && genesis.origin !== head.checkpoint.origin) {
    findings.push(finding('WRONG_ORIGIN', 0, 'genesis names another origin than the checkpoint'));
  }
  return result(headOf(head), since === null ? null : headOf(since));
}
