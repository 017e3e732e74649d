import type { RejectionCode } from './errors.ts';

/** Findings that only an auditor has: about files rather than leaves. */
export type FileCode =
  | 'POLICY_INVALID'
  | 'POLICY_TOO_WEAK'
  | 'FILE_MISSING'
  | 'FILE_MALFORMED'
  | 'TILE_MISMATCH'
  | 'ROOT_MISMATCH'
  | 'GENESIS_PIN'
  | 'POLICY_OTHER_LOG';
/** Findings of the re-adding, which needs the blobs. */
export type BlobCode = 'BLOB_CORRUPT' | 'SUM_NOT_REPRODUCED' | 'CHECKSUM_NOT_REPRODUCED';
/** What an audit says without calling it a violation: an honest log may show it. */
export type RemarkCode =
  | 'VOID_LEAF'
  | 'TIMES_NOT_MONOTONE'
  | 'CLOCK_SKEW'
  | 'NO_END'
  | 'SHARES_DIFFER'
  | 'BOX_REFUSED'
  | 'NO_MASKS'
  | 'PLAIN_UPDATES_KEPT';
export type FindingCode = RejectionCode | FileCode | BlobCode;

/** One numbered thing an auditor checks. Numbers are TRUST's and never reused. */
export interface Check {
  readonly id: number;
  readonly sentence: string;
  /** Violations that this check can find. A code belongs to one check. */
  readonly codes: readonly FindingCode[];
  /** What it reports without a verdict. */
  readonly remarks?: readonly RemarkCode[];
  /** Test files, below test/, that show every code and remark of the check. A check that is claimed has some. */
  readonly tests?: readonly string[];
  /** Why this version says nothing about it; the audit then prints it as not claimed. */
  readonly notClaimed?: string;
}

/** The numbered checks. The table in checks.md is made from them (scripts/checks-table.mjs); a test compares the two. */
export const CHECKS: readonly Check[] = [
  {
    id: 1,
    sentence: 'Every leaf is canonical JSON of a known shape, with nothing trailing.',
    codes: ['MALFORMED', 'TOO_LARGE'],
    tests: ['attacks/p02-transcript-changes', 'property/leaves', 'attacks/bad-input'],
  },
  {
    id: 2,
    sentence: "The policy file is well formed, names this log's keys and asks for enough of its witnesses.",
    codes: ['POLICY_INVALID', 'POLICY_TOO_WEAK', 'POLICY_OTHER_LOG'],
    tests: ['protocol/audit', 'protocol/audit-checks'],
  },
  {
    id: 3,
    sentence: 'The checkpoint is signed by this log for this origin.',
    codes: ['BAD_CHECKPOINT', 'WRONG_ORIGIN', 'GENESIS_PIN'],
    tests: ['protocol/audit', 'attacks/p02-transcript-changes'],
  },
  {
    id: 4,
    sentence: 'Enough witnesses cosigned the checkpoint; none of them cosigned the earlier one later.',
    codes: ['NOT_COSIGNED'],
    remarks: ['TIMES_NOT_MONOTONE'],
    tests: ['protocol/audit'],
  },
  {
    id: 5,
    sentence: 'The entries give every tile and the root of the checkpoint.',
    codes: ['FILE_MISSING', 'FILE_MALFORMED', 'TILE_MISMATCH', 'ROOT_MISMATCH'],
    tests: ['protocol/audit-checks', 'attacks/p02-transcript-changes'],
  },
  {
    id: 6,
    sentence: 'The log extends the head that the auditor saw before, and every head that a node says it saw.',
    codes: ['ROLLED_BACK', 'SPLIT_VIEW'],
    tests: ['attacks/p03-forked-log', 'attacks/p02-transcript-changes'],
  },
  {
    id: 7,
    sentence: 'Every leaf is of a known kind and version.',
    codes: ['UNKNOWN_KIND', 'UNKNOWN_VERSION'],
    tests: ['attacks/p02-transcript-changes'],
  },
  {
    id: 8,
    sentence: 'Every leaf is signed by a party enrolled at that index, not revoked, in a role that may do it.',
    codes: ['BAD_SIGNATURE', 'BAD_KEY', 'UNKNOWN_ACTOR', 'WRONG_ROLE', 'REVOKED'],
    tests: ['attacks/p02-transcript-changes'],
  },
  {
    id: 9,
    sentence:
      'Names and keys are enrolled once, by the root key, with proof of possession; a TLS key is replaced by its own party, never by a key seen before; members change by approval of t of them.',
    codes: [
      'DUPLICATE_NAME',
      'DUPLICATE_KEY',
      'NO_POSSESSION',
      'STALE_TLS_KEY',
      'NOT_APPROVED',
      'GENESIS_NOT_FIRST',
      'GENESIS_INVALID',
    ],
    tests: ['attacks/p02-transcript-changes'],
  },
  {
    id: 10,
    sentence:
      'A round goes: round keys, open, uploads, close, confirmations, ready, decide, answers, release or abort.',
    codes: [
      'UNKNOWN_ANNOUNCE',
      'DUPLICATE_ANNOUNCE',
      'DUPLICATE_ROUND_KEY',
      'LATE_ROUND_KEY',
      'ROUND_KEY_MISSING',
      'ROUND_KEY_REUSED',
      'UNKNOWN_ROUND',
      'ROUND_EXISTS',
      'ROUND_ENDED',
      'ROUND_RUNNING',
      'LATE_UPLOAD',
      'BAD_COHORT',
      'TOO_MANY_ATTEMPTS',
      'UNKNOWN_CLOSE',
      'STALE_ATTEMPT',
      'NOT_READY',
      'UNKNOWN_DECISION',
      'NOT_RELEASED',
      'UNKNOWN_MODEL',
      'DUPLICATE_RELEASE',
    ],
    remarks: ['VOID_LEAF'],
    tests: ['attacks/p02-transcript-changes'],
  },
  {
    id: 11,
    sentence: 'All records of a round carry the same, derived parameters.',
    codes: ['PARAMETERS_MISMATCH', 'QUORUM_MISMATCH', 'PAYLOAD_SIZE'],
    remarks: ['PLAIN_UPDATES_KEPT'],
    tests: ['attacks/p02-transcript-changes', 'protocol/audit-checks'],
  },
  {
    id: 12,
    sentence:
      'One upload per node and round, one confirmation per node and attempt; no leaf, nonce, payload or seed twice.',
    codes: [
      'DUPLICATE_UPLOAD',
      'DUPLICATE_CONFIRM',
      'REPLAYED',
      'NONCE_REUSED',
      'SEED_REUSED',
      'DUPLICATE_READY',
      'DUPLICATE_COMPLAINT',
      'DUPLICATE_RESEAL',
    ],
    tests: ['attacks/p02-transcript-changes'],
  },
  {
    id: 13,
    sentence:
      'Confirmations name the close and cover all of U; the first decision is the only one. Boxes that their holders could not use are reported.',
    codes: [
      'NOT_IN_COHORT',
      'NOT_CONFIRMED',
      'MODEL_MISMATCH',
      'BOXES_MISMATCH',
      'UNKNOWN_CONFIRM',
      'ALREADY_DECIDED',
      'WINDOW_DECIDED',
    ],
    remarks: ['BOX_REFUSED'],
    tests: ['attacks/p02-transcript-changes', 'protocol/recipient-boxes'],
  },
  {
    id: 14,
    sentence: 'Cohort and organisations reach the minimums.',
    codes: ['COHORT_TOO_SMALL', 'TOO_FEW_ORGS', 'BELOW_MINIMUM'],
    tests: ['attacks/p02-transcript-changes'],
  },
  {
    id: 15,
    sentence: 'With the blobs, every hash and the sum are computed again.',
    codes: ['BLOB_CORRUPT', 'SUM_NOT_REPRODUCED', 'CHECKSUM_NOT_REPRODUCED', 'SUM_MISMATCH'],
    tests: ['protocol/audit', 'attacks/p02-transcript-changes'],
  },
  {
    id: 16,
    sentence: 'Members answer once, and before a release t of them agree on every share.',
    codes: ['DUPLICATE_ANSWER', 'SHARES_MISMATCH', 'SHARE_CONFLICT', 'TOO_FEW_ANSWERS'],
    remarks: ['SHARES_DIFFER'],
    tests: ['attacks/p02-transcript-changes', 'protocol/audit-checks'],
  },
  {
    id: 17,
    sentence: 'Recipients logged the same result.',
    codes: ['RESULT_MISMATCH'],
    tests: ['attacks/p02-transcript-changes'],
  },
  {
    id: 18,
    sentence: 'Every charge is what the noise costs, taken before release, within the budget.',
    codes: ['CHARGE_MISMATCH', 'BUDGET_EXCEEDED'],
    tests: ['attacks/p02-transcript-changes'],
  },
  {
    id: 19,
    sentence: 'Records and blobs stay in their region.',
    codes: [],
    notClaimed: 'rounds carry no residency tags in this version',
  },
  {
    id: 20,
    sentence: 'Two persons with a second factor approved every opening and enrolment.',
    codes: [],
    notClaimed: 'approvals: none - no officer approved rounds or enrolments',
  },
  {
    id: 21,
    sentence: 'Every announced round is opened or withdrawn, every opened one ends; others are reported.',
    codes: [],
    remarks: ['NO_END'],
    tests: ['protocol/withdrawn'],
  },
  {
    id: 22,
    sentence: 'Clocks of the signers are reported where they disagree.',
    codes: [],
    remarks: ['CLOCK_SKEW'],
    tests: ['protocol/audit-checks'],
  },
  {
    id: 23,
    sentence: 'The software of every party is named.',
    codes: [],
    notClaimed: 'leaves do not name the software that made them in this version',
  },
  {
    id: 24,
    sentence:
      'In a round in buckets the nodes are divided in one way per task, model and window, each uploads in its own bucket, and the next model waits for all of them.',
    codes: ['BUCKET_MISMATCH', 'NOT_IN_BUCKET', 'BUCKETS_UNFINISHED'],
    tests: ['attacks/p16-buckets', 'attacks/p02-transcript-changes'],
  },
  {
    id: 25,
    sentence:
      'A round has pairwise masks, or its record says that it has none: then every upload carries its sharing, no confirmation follows, and none started from a model further back than the record allows. Each such round is named.',
    codes: ['MASKING_MISMATCH', 'TOO_STALE'],
    remarks: ['NO_MASKS'],
    tests: ['attacks/one-shot', 'attacks/p02-transcript-changes', 'protocol/one-shot'],
  },
];

const BY_CODE = new Map(CHECKS.flatMap((check) => check.codes.map((code) => [code, check] as const)));

const BY_REMARK = new Map(CHECKS.flatMap((check) => (check.remarks ?? []).map((code) => [code, check] as const)));

/** The check that a remark belongs to. */
export function checkOfRemark(code: RemarkCode): Check {
  return BY_REMARK.get(code)!;
}

/** The check that a finding's code belongs to; null for codes that no leaf or file can be found with. */
export function checkOf(code: FindingCode): Check | null {
  return BY_CODE.get(code) ?? null;
}

/** The table of checks as checks.md holds it. */
export function checksTable(): string {
  const cell = (codes: readonly string[]): string => codes.map((code) => `\`${code}\``).join(' ') || '-';
  const rows = CHECKS.map(({ id, sentence, codes, remarks, tests, notClaimed }) => {
    const said = notClaimed === undefined ? cell(remarks ?? []) : `not claimed: ${notClaimed}`;
    return `| ${id} | ${sentence} | ${cell(codes)} | ${said} | ${cell(tests ?? [])} |`;
  });
  const head = ['| check | rule | violations | remarks | shown by |', '|---|---|---|---|---|'];
  return [...head, ...rows, ''].join('\n');
}
