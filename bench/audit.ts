import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildReport } from './audit-child.ts';
import { writeBenchLog } from './audit-log.ts';
import type { BenchRow } from './row.ts';

const LEAVES = 100_000;
const FEWER = 10_000;

/** Audits a folder in a process of its own. */
function auditApart(folder: string, what: 'speed' | 'memory'): Promise<ChildReport> {
  const script = join(import.meta.dirname, 'audit-child.ts');
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--expose-gc', script, folder, what],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as ChildReport);
      else reject(new Error(`the audit of ${folder} ended with code ${code}`));
    });
  });
}

async function auditOf(folder: string, what: 'speed' | 'memory'): Promise<ChildReport> {
  const report = await auditApart(folder, what);
  if (report.verdict !== 'verified') throw new Error(`a good log is called ${report.verdict}`);
  return report;
}

function logOf(folder: string, leaves: number): string {
  mkdirSync(folder);
  writeBenchLog(folder, leaves);
  return folder;
}

/**
 * Logs of rounds of 100 nodes and a quorum of 3 of 5, every leaf with a real key and signature. Speed: leaves a second of
 * one thread's processor time, against OpenSSL verifying the same signatures and doing nothing else, bundle by bundle in
 * the same run. Memory: what is alive at most during the audit, beyond what was before it.
 */
export async function run(): Promise<BenchRow[]> {
  const work = mkdtempSync(join(tmpdir(), 'veilsum-bench-audit-'));
  try {
    const few = await auditOf(logOf(join(work, 'few'), FEWER), 'memory');
    const folder = logOf(join(work, 'many'), LEAVES);
    const many = await auditOf(folder, 'memory');
    const { leaves, auditSeconds, bareSeconds } = await auditOf(folder, 'speed');
    const million = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
    return [
      {
        name: 'audit',
        value: leaves / auditSeconds,
        unit: `leaves/s of thread time, ${leaves} leaves`,
        baseline: `bare Ed25519 verification of as many signatures: ${Math.round(leaves / bareSeconds)}/s`,
        ratio: bareSeconds / auditSeconds,
      },
      {
        name: 'memory',
        value: many.heapBytes,
        unit: `bytes of heap, ${leaves} leaves`,
        baseline: `with ${few.leaves} leaves: ${million(few.heapBytes)}`,
        ratio: few.heapBytes / many.heapBytes,
      },
      {
        name: 'memory-per-leaf',
        value: (many.arrayBytes - few.arrayBytes) / (leaves - few.leaves),
        unit: 'bytes outside the heap for every further leaf',
        baseline: '',
        ratio: null,
      },
    ];
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
