import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type AuditInput, audit } from '../../protocols/audit.ts';
import { auditWithBlobs, BlobAuditor } from '../../protocols/audit-blobs.ts';
import type { Bins } from '../../protocols/repeats.ts';
import { folderReader } from '../log/log-folder.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { reportText } from './audit-text.ts';
import { blobFolder } from './blob-folder.ts';
import { printable } from './printable.ts';
import { type Report, reportJson, reportOf } from './report.ts';
import { temporaryBins } from './temporary-bins.ts';

/** What `veilsum audit` is given. Paths. */
export interface AuditRequest {
  /** The log as C2SP tlog-tiles: `checkpoint` and `tile/`. */
  readonly folder: string;
  /** C2SP tlog-policy. */
  readonly policyFile: string;
  /** Blobs named by their SHA-256; null: nothing is added up again, and the report says so. */
  readonly blobs?: string | null;
  /** A checkpoint seen earlier, or a folder that holds one. */
  readonly since?: string | null;
  /** Hash of the genesis body, hexadecimal. */
  readonly genesis?: string | null;
}

export interface AuditOutcome {
  /** 0 verified, 1 violation, 2 cannot decide, 3 usage. */
  readonly exitCode: 0 | 1 | 2 | 3;
  readonly text: string;
  readonly json: object;
}

const EXIT_CODE = { verified: 0, violation: 1, undecided: 2 } as const;

function usage(message: string): AuditOutcome & { readonly exitCode: 3 } {
  return { exitCode: 3, text: `${printable(message)}\n`, json: { verdict: 'usage', message } };
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** A file that a person named: symlinks in its folder are theirs; the file itself is regular and of bounded size. */
function readNamed(path: string): Uint8Array | undefined {
  return folderReader('')(path);
}

/**
 * What there is to audit, read from its files.
 *
 * @returns the outcome where the request names no files that can be read.
 */
export function readAuditInput(
  request: Omit<AuditRequest, 'blobs'>,
): Omit<AuditInput, 'newBins'> | (AuditOutcome & { readonly exitCode: 2 | 3 }) {
  const { folder, policyFile: policyPath, since: sincePath = null, genesis = null } = request;
  if (genesis !== null && !/^[0-9a-f]{64}$/.test(genesis)) {
    return usage('the genesis hash has 64 hexadecimal digits in lower case');
  }
  if (!isFolder(folder)) return usage(`there is no folder ${folder}`);
  const policyFile = readNamed(policyPath);
  if (policyFile === undefined) return usage(`the policy file ${policyPath} cannot be read`);
  const since = sincePath === null ? null : readNamed(isFolder(sincePath) ? join(sincePath, 'checkpoint') : sincePath);
  if (since === undefined) return usage(`the earlier checkpoint ${sincePath} cannot be read`);
  const readFile = folderReader(folder);
  const checkpoint = readFile('checkpoint');
  if (checkpoint === undefined) {
    const text =
      'verdict: cannot decide (the folder holds no checkpoint: name the one that the log was exported to, with checkpoint and tile/ in it)\n';
    return { exitCode: 2, text, json: { verdict: 'undecided', message: 'no checkpoint' } };
  }
  return { policyFile, checkpoint, readFile, genesisPin: genesis, since };
}

/**
 * Audits a log's folder, offline. Reads files only; trusts the policy file and the pin, nothing else.
 *
 * The engine that adds up payloads is loaded only where blobs are given.
 */
export async function auditFolder(request: AuditRequest): Promise<AuditOutcome> {
  const { blobs: blobsPath = null } = request;
  if (blobsPath !== null && !isFolder(blobsPath)) return usage(`there is no folder of blobs ${blobsPath}`);
  const input = readAuditInput(request);
  if ('exitCode' in input) return input;
  using files = new DisposableStack();
  const newBins = (): Bins => files.use(temporaryBins());
  const report = await reportWith({ ...input, newBins }, blobsPath);
  return { exitCode: EXIT_CODE[report.verdict], text: reportText(report), json: reportJson(report) };
}

async function reportWith(input: AuditInput, blobsPath: string | null): Promise<Report> {
  if (blobsPath === null) return reportOf(audit(nodePrimitives, input), null);
  const { payloadContext } = await import('../party/engines.ts');
  const auditor = new BlobAuditor(blobFolder(blobsPath), (record) => payloadContext(record, 'auto'));
  const { log, blobs } = await auditWithBlobs(nodePrimitives, input, auditor);
  return reportOf(log, blobs);
}
