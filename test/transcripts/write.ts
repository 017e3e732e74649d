import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { formatPolicy } from '../../crypto/policy.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { auditFolder } from '../../src/audit/audit-folder.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { writeLog } from '../reference/golden-folder.ts';
import { memorySetting, smallEngine, updatesOf } from '../reference/memory-round.ts';
import { p } from '../reference/paper-log.ts';

/** One folder per release: `log/`, `policy.txt`, `blobs/`, `expected.json`. */
export const TRANSCRIPTS = import.meta.dirname;

/** Small enough to keep for ever: 60 values in the smallest ring. */
const REQUEST = { dimension: 60, bits: 16, nodesMax: 16, minCohort: 2, minHonest: 2 };

/** What every later auditor must say of a transcript: verdict and counts, not words. */
export interface Expected {
  readonly version: string;
  /** Hash that pins the log. */
  readonly genesis: string;
  readonly exitCode: number;
  readonly verdict: string;
  readonly leaves: number;
  readonly findings: readonly string[];
  readonly rounds: readonly object[];
  /** Blobs recomputed of those named, and what was said of each sum. */
  readonly blobs: readonly object[];
}

interface RoundJson {
  readonly [field: string]: unknown;
}

/** Audits a kept folder with the auditor of this checkout. */
export async function auditTranscript(folder: string, version: string, genesis: string): Promise<Expected> {
  const { exitCode, json } = await auditFolder({
    folder: join(folder, 'log'),
    policyFile: join(folder, 'policy.txt'),
    blobs: join(folder, 'blobs'),
    genesis,
  });
  const { verdict, leaves, findings, rounds, blobs } = json as {
    verdict: string;
    leaves: number;
    findings: readonly { code: string }[];
    rounds: readonly RoundJson[];
    blobs: { rounds: readonly RoundJson[] };
  };
  const counts = ({
    number,
    task,
    outcome,
    cohort,
    uploads,
    attempts,
    chargeRhoNano,
    charged,
    resultHash,
  }: RoundJson) => ({
    ...{ number, task, outcome, cohort, uploads, attempts, chargeRhoNano, charged, resultHash },
  });
  return {
    version,
    genesis,
    exitCode,
    verdict,
    leaves,
    findings: findings.map(({ code }) => code),
    rounds: rounds.map(counts),
    blobs: blobs.rounds.map(({ sum, tallies }) => ({ sum, tallies })),
  };
}

/** Two rounds: in the first a node vanishes before it confirms, so that a smaller set is closed. */
function run(federation: MemoryFederation): void {
  const updates = updatesOf(federation.nodeNames, REQUEST.dimension);
  federation.vanished.set('node-3', 'confirm');
  federation.nextModel(federation.runRound(1, updates));
  federation.vanished.delete('node-3');
  federation.nextModel(federation.runRound(2, updates));
}

/** The version that is being released: package.json's. */
export function currentVersion(): string {
  const manifest = JSON.parse(readFileSync(resolve(TRANSCRIPTS, '../../package.json'), 'utf8')) as { version: string };
  return manifest.version;
}

/** Folders that are kept, by version. */
export function keptVersions(root = TRANSCRIPTS): string[] {
  return readdirSync(root, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? [entry.name] : []))
    .sort();
}

/**
 * Makes the transcript of a version: whole or not at all.
 *
 * @throws Error when the folder is there (a release's transcript never changes), or when today's auditor does not verify it.
 */
export async function writeTranscript(root: string, version: string): Promise<string> {
  const folder = join(root, version);
  if (existsSync(folder))
    throw new Error(`${folder} is there already: the transcript of a release is never written again`);
  const made = `${folder}.new`;
  rmSync(made, { recursive: true, force: true });
  mkdirSync(join(made, 'blobs'), { recursive: true });
  const engine = await smallEngine(REQUEST);
  const federation = new MemoryFederation(memorySetting(engine, { primitives: p, request: REQUEST, nodes: 3 }));
  run(federation);
  writeLog(made, federation.log.leaves, federation.log.checkpoint(1_700_000_100));
  writeFileSync(join(made, 'policy.txt'), formatPolicy(policyOf(p, federation.log.transcript.genesis!)));
  for (const [hash, bytes] of federation.blobs) writeFileSync(join(made, 'blobs', hash), bytes);
  const expected = await auditTranscript(made, version, federation.log.transcript.logId);
  if (expected.verdict !== 'verified')
    throw new Error(`the transcript is ${expected.verdict}: ${expected.findings.join()}`);
  writeFileSync(join(made, 'expected.json'), `${JSON.stringify(expected, null, 2)}\n`);
  renameSync(made, folder);
  return folder;
}
