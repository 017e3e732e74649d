import { openCheckpoint, type VerifiedCheckpoint } from '../crypto/checkpoint.ts';
import { bytesEqual, fromUtf8, toHex } from '../crypto/encoding.ts';
import { readLogFiles } from '../crypto/log-files.ts';
import { type Policy, parsePolicy } from '../crypto/policy.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { LeafReader } from './audit-leaves.ts';
import { leastGenesisWitnesses, namesLogKey, witnessKeysOf } from './audit-policy.ts';
import { type Remark, type RoundSummary, remarkRounds, summarise } from './audit-rounds.ts';
import { CHECKS } from './checks.ts';
import { type Finding, finding } from './findings.ts';
import type { Transcript } from './transcript.ts';

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
  /** Keeps uploads, confirmations and answers of ended rounds in the transcript, which audit-blobs.ts reads. Costs memory. */
  readonly keepRounds?: boolean;
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
 * keeps: 64 bytes per leaf for the tree, about 40 for every hash and key that may not occur twice, running rounds.
 *
 * @returns `verified` when nothing was found, `violation` when something was, `undecided` when files are missing.
 */
export function audit(p: Primitives, input: AuditInput): AuditResult {
  const reader = new LeafReader(p, input.genesisPin, input.keepRounds === true);
  const findings: Finding[] = [];
  const result = (head: Head | null, since: Head | null): AuditResult => {
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
    findings.push(
      finding(
        'BAD_CHECKPOINT',
        null,
        'the checkpoint is not signed by a log of the policy: is it the policy of this log?',
      ),
    );
    return result(null, null);
  }
  if (!head.quorum) findings.push(finding('NOT_COSIGNED', null, 'fewer witnesses than the policy asks for'));
  const { size, root } = head.checkpoint;
  if (size === 0) findings.push(finding('GENESIS_NOT_FIRST', null, 'the log is empty'));
  const files = readLogFiles(p, size, input.readFile, (...entry) => reader.take(...entry));
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
    findings.push(
      finding(
        'BAD_CHECKPOINT',
        null,
        'the earlier checkpoint is not signed by a log of the policy: is it the policy of this log?',
      ),
    );
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
  return result(headOf(head, input.checkpoint), since === null ? null : headOf(since, input.since!));
}
