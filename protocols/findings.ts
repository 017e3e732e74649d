import { checkOf, type FindingCode } from './checks.ts';

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

/** Makes a finding: the check it belongs to gives the sentence of the rule. */
export function finding(code: FindingCode, index: number | null, why: string): Finding {
  const check = checkOf(code);
  return { check: check?.id ?? null, code, index, sentence: check?.sentence ?? '', why };
}
