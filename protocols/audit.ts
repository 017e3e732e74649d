import { openCheckpoint, type VerifiedCheckpoint } from '../crypto/checkpoint.ts';
import { bytesEqual } from '../crypto/encoding.ts';
import { readLogFiles } from '../crypto/log-files.ts';
import { Frontier, leafHash } from '../crypto/merkle.ts';
import { flatQuorum, type Policy, parsePolicy } from '../crypto/policy.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { checkOf, type FindingCode } from './checks.ts';
import { emptyTranscript } from './patch.ts';
import { takeLeaf } from './rules.ts';
import { isRunning, type Transcript } from './transcript.ts';

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

export interface Finding {
  readonly check: number | null;
  readonly code: FindingCode;
  /** Leaf index; null for findings about files. */
  readonly index: number | null;
  readonly sentence: string;
  readonly why: string;
}

export interface AuditResult {
  readonly verdict: 'verified' | 'violation' | 'undecided';
  readonly origin: string | null;
  readonly size: number;
  readonly cosigners: readonly string[];
  readonly findings: readonly Finding[];
  /** Leaves that lost a race and count for nothing. */
  readonly voidLeaves: readonly { readonly index: number; readonly code: string }[];
  /** Claims that this audit says nothing about, in words. */
  readonly notChecked: readonly string[];
  /** The state after the last good leaf. */
  readonly transcript: Transcript;
}

/** Makes a finding: the check it belongs to gives the sentence of the rule. */
export function finding(code: FindingCode, index: number | null, why: string): Finding {
  const check = checkOf(code);
  return { check: check?.id ?? null, code, index, sentence: check?.sentence ?? '', why };
}

interface Opened {
  readonly policy: Policy;
  readonly head: VerifiedCheckpoint;
}

/** Checks 2 to 4: the policy, the log's signature, the cosignatures. */
function openHead(p: Primitives, input: AuditInput): Opened | Finding {
  let policy: Policy;
  try {
    policy = parsePolicy(p, input.policyFile);
  } catch {
    return finding('POLICY_INVALID', null, 'the policy file is not a C2SP tlog-policy');
  }
  try {
    return { policy, head: openCheckpoint(p, input.checkpoint, policy) };
  } catch {
    return finding('BAD_CHECKPOINT', null, 'the checkpoint is not signed by a log of the policy');
  }
}

/** Check 6: the root over the first leaves is the head seen before. */
function checkSince(p: Primitives, policy: Policy, since: Uint8Array, entries: readonly Uint8Array[]): Finding | null {
  let earlier: VerifiedCheckpoint;
  try {
    earlier = openCheckpoint(p, since, policy);
  } catch {
    return finding('BAD_CHECKPOINT', null, 'the earlier checkpoint is not signed by a log of the policy');
  }
  const { size, root } = earlier.checkpoint;
  if (size > entries.length) return finding('ROLLED_BACK', null, 'the log is shorter than the head seen before');
  const frontier = new Frontier(p);
  for (const bytes of entries.slice(0, size)) frontier.append(leafHash(p, bytes));
  return bytesEqual(frontier.root(), root)
    ? null
    : finding('SPLIT_VIEW', null, 'the log does not extend the head seen before');
}

/** The policy must be at least as strict as genesis asks, else its cosignatures prove less than the claim. */
function checkPolicyStrength(policy: Policy, transcript: Transcript): Finding | null {
  const genesis = transcript.genesis;
  if (genesis === null) return null;
  const quorum = flatQuorum(policy);
  if (quorum === undefined) return null;
  const { witnesses, needed } = genesis.cosigning;
  if (quorum.witnesses === witnesses && quorum.threshold >= needed) return null;
  return finding('POLICY_TOO_WEAK', null, `genesis asks for ${needed} of ${witnesses} witnesses`);
}

function notClaimed(input: AuditInput, transcript: Transcript): string[] {
  const lines = ['approvals: none (no officer approved rounds or enrolments; not claimed)'];
  if (input.genesisPin === null)
    lines.push('genesis: not pinned, so its minimums and keys are the log’s own (use --genesis)');
  if (input.since === null)
    lines.push('earlier head: none given, so an older view could have been another one (use --since)');
  for (const round of transcript.rounds.values()) {
    if (isRunning(round)) lines.push(`round ${round.record.number}: still ${round.phase}, has no end in this log`);
  }
  return lines;
}

/**
 * Audits a log's files. Pure and offline; reads every byte of every file of the head's tree.
 *
 * @returns `verified` when nothing was found, `violation` when something was, `undecided` when files are missing.
 */
export function audit(p: Primitives, input: AuditInput): AuditResult {
  let transcript = emptyTranscript();
  const findings: Finding[] = [];
  const voidLeaves: { index: number; code: string }[] = [];
  const opened = openHead(p, input);
  if ('code' in opened) {
    const empty = { origin: null, size: 0, cosigners: [], voidLeaves, notChecked: [], transcript };
    return { verdict: 'violation', findings: [opened], ...empty };
  }
  const { policy, head } = opened;
  if (!head.quorum) findings.push(finding('NOT_COSIGNED', null, 'fewer witnesses than the policy asks for'));
  const files = readLogFiles(p, head.checkpoint.size, input.readFile);
  for (const { path, reason } of files.findings) {
    const code = reason === 'MISSING' ? 'FILE_MISSING' : reason === 'MALFORMED' ? 'FILE_MALFORMED' : 'TILE_MISMATCH';
    findings.push(finding(code, null, path));
  }
  if (files.findings.length === 0 && !bytesEqual(files.root, head.checkpoint.root)) {
    findings.push(finding('ROOT_MISMATCH', null, 'the entries do not give the root of the checkpoint'));
  }
  if (input.since !== null) {
    const problem = checkSince(p, policy, input.since, files.entries);
    if (problem !== null) findings.push(problem);
  }
  for (const [index, bytes] of files.entries.entries()) {
    const taken = takeLeaf(p, transcript, bytes);
    if (taken.outcome === 'refused') {
      findings.push(finding(taken.rejection.rejected, index, taken.rejection.why));
      break; // what follows would be judged against a state that the log itself contradicts
    }
    if (taken.outcome === 'void') voidLeaves.push({ index, code: taken.rejection.rejected });
    transcript = taken.next;
    if (index === 0 && input.genesisPin !== null && transcript.logId !== input.genesisPin) {
      findings.push(finding('GENESIS_PIN', 0, 'this is not the log whose genesis was pinned'));
    }
  }
  const weak = checkPolicyStrength(policy, transcript);
  if (weak !== null) findings.push(weak);
  if (transcript.genesis !== null && transcript.genesis.origin !== head.checkpoint.origin) {
    findings.push(finding('WRONG_ORIGIN', 0, 'genesis names another origin than the checkpoint'));
  }
  const onlyMissing = findings.length > 0 && findings.every(({ code }) => code === 'FILE_MISSING');
  return {
    verdict: findings.length === 0 ? 'verified' : onlyMissing ? 'undecided' : 'violation',
    origin: head.checkpoint.origin,
    size: head.checkpoint.size,
    cosigners: head.cosignatures.map(({ witness }) => witness.name),
    findings,
    voidLeaves,
    notChecked: notClaimed(input, transcript),
    transcript,
  };
}
