import type { Head } from '../../protocols/audit.ts';
import type { Remark } from '../../protocols/audit-rounds.ts';
import type { Finding } from '../../protocols/findings.ts';
import type { CheckRow } from '../audit/report.ts';

/** What a person chose. Handles to files, not their bytes: the worker reads what it needs, when it needs it. */
export interface Request {
  /** By path below the folder. */
  readonly log: ReadonlyMap<string, File>;
  readonly policy: File;
  /** By name; null where none were chosen. */
  readonly blobs: ReadonlyMap<string, File> | null;
  readonly since: File | null;
  /** 64 hexadecimal digits, or null. */
  readonly genesis: string | null;
  /** The ring kernel, base64, for adding payloads up again. */
  readonly kernel: string;
}

/** A round as the page shows it. */
export interface RoundRow {
  readonly number: number;
  readonly task: string;
  readonly outcome: string;
  readonly nodes: string;
  readonly attempts: number;
  /** Null where there is no genesis to read delta from. */
  readonly epsilon: { readonly ofRound: number; readonly spent: number } | null;
  readonly charged: boolean;
  readonly blobs: string;
  readonly tally: string;
  readonly notes: readonly string[];
}

/** Everything the page shows, as plain values. Text of strangers' is still raw: the view escapes it. */
export interface PageReport {
  readonly verdict: 'verified' | 'violation' | 'undecided';
  readonly head: Head | null;
  readonly since: Head | null;
  readonly genesis: { readonly id: string; readonly pinned: string; readonly lines: readonly string[] } | null;
  readonly leaves: number;
  readonly findings: readonly Finding[];
  readonly checks: readonly CheckRow[];
  readonly remarks: readonly (Remark & { readonly check: number })[];
  readonly rounds: readonly RoundRow[];
  /** The report of the command line, word for word. */
  readonly text: string;
  readonly json: string;
}

export type Answer =
  | { readonly kind: 'progress'; readonly doing: string /** 0 to 1; null: unknown. */; readonly done: number | null }
  | { readonly kind: 'report'; readonly report: PageReport }
  /** The audit could not be made: what a command line says with exit code 2 or 3. */
  | { readonly kind: 'failed'; readonly message: string };
