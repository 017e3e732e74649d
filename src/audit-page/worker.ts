import './jitless.ts';
import { fromBase64 } from '../../crypto/encoding.ts';
import type { RingEngine } from '../../crypto/engine.ts';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { ringShape } from '../../crypto/params.ts';
import { noblePrimitives } from '../../crypto/primitives-noble.ts';
import { parseTilePath, TILE_WIDTH } from '../../crypto/tiles.ts';
import { type AuditInput, audit } from '../../protocols/audit.ts';
import { auditWithBlobs, BlobAuditor } from '../../protocols/audit-blobs.ts';
import { recordHashOf } from '../../protocols/record.ts';
import { reportOf } from '../audit/report.ts';
import { chosenBlobs, readSmall } from './files.ts';
import type { Answer, Request } from './messages.ts';
import { pageReport } from './page-report.ts';

/** Between two messages about how far the audit is, in ms. */
const PROGRESS_MS = 100;

function say(answer: Answer): void {
  self.postMessage(answer);
}

let last = 0;
function progress(doing: string, done: number | null): void {
  if (performance.now() - last < PROGRESS_MS) return;
  last = performance.now();
  say({ kind: 'progress', doing, done });
}

/** Leaves that the files in a folder can hold at most: what the bar counts to. */
function leavesIn(log: ReadonlyMap<string, File>): number {
  const ends = [...log.keys()].flatMap((path) => {
    const ref = parseTilePath(path);
    return ref?.kind === 'entries' ? [ref.index * TILE_WIDTH + ref.width] : [];
  });
  return ends.reduce((most, end) => Math.max(most, end), 1);
}

function inputOf({ log, policy, since, genesis }: Request): AuditInput | string {
  const checkpoint = readSmall(log.get('checkpoint'));
  if (checkpoint === undefined) return 'the folder holds no checkpoint';
  const policyFile = readSmall(policy);
  if (policyFile === undefined) return 'the policy file is too large to be one';
  const earlier = since === null ? null : readSmall(since);
  if (earlier === undefined) return 'the earlier checkpoint is too large to be one';
  const leaves = leavesIn(log);
  const readFile = (path: string): Uint8Array | undefined => {
    const ref = parseTilePath(path);
    const at = (ref?.index ?? 0) * TILE_WIDTH;
    if (ref?.kind === 'entries') progress(`Leaf ${at} of ${leaves}`, at / leaves);
    return readSmall(log.get(path));
  };
  return { policyFile, checkpoint, readFile, genesisPin: genesis, since: earlier };
}

function blobAuditor(files: ReadonlyMap<string, File>, kernel: string): BlobAuditor {
  const module = new WebAssembly.Module(fromBase64(kernel) as Uint8Array<ArrayBuffer>);
  let opened = 0;
  const blobs = chosenBlobs(files, () => progress(`Adding up payloads: ${++opened} blobs read`, null));
  const engines = new Map<string, RingEngine>();
  return new BlobAuditor(blobs, async (record) => {
    const { parameters } = record;
    const shape = JSON.stringify(ringShape(parameters));
    const engine = engines.get(shape) ?? (await createKernelEngine(module, ringShape(parameters)));
    engines.set(shape, engine);
    return { parameters, recordHash: recordHashOf(noblePrimitives, record), engine, primitives: noblePrimitives };
  });
}

async function run(request: Request): Promise<Answer> {
  const input = inputOf(request);
  if (typeof input === 'string') return { kind: 'failed', message: input };
  if (request.blobs === null) {
    return { kind: 'report', report: pageReport(reportOf(audit(noblePrimitives, input), null)) };
  }
  const { log, blobs } = await auditWithBlobs(noblePrimitives, input, blobAuditor(request.blobs, request.kernel));
  return { kind: 'report', report: pageReport(reportOf(log, blobs)) };
}

self.addEventListener('message', ({ data }: MessageEvent<Request>) => {
  run(data).then(say, (error: unknown) => {
    say({ kind: 'failed', message: error instanceof Error ? `${error.name}: ${error.message}` : 'unknown error' });
  });
});
