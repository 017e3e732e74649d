// One audit of a log's folder in a process of its own, so that its memory is nobody else's. Prints one line of JSON.
// Either speed or memory: a collection throws away what was compiled, too, and the audit would be slower after each.
//   node --expose-gc bench/audit-child.ts FOLDER speed|memory
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { parseCheckpoint } from '../crypto/checkpoint.ts';
import { parseNote } from '../crypto/note.ts';
import { parseTilePath } from '../crypto/tiles.ts';
import { audit } from '../protocols/audit.ts';
import { temporaryBins } from '../src/audit/temporary-bins.ts';
import { folderReader } from '../src/log/log-folder.ts';
import { nodePrimitives } from '../src/platform/primitives-node.ts';
import type { Shared } from './bare-verify.ts';

export interface ChildReport {
  readonly verdict: string;
  readonly leaves: number;
  readonly auditSeconds: number;
  readonly bareSeconds: number;
  /** Largest live heap seen during the audit, after a collection, less what there was before it. */
  readonly heapBytes: number;
  /** The same of typed arrays, which are not on the heap. */
  readonly arrayBytes: number;
}

/**
 * Processor time of this thread in seconds: other processes on the machine do not count, nor do the collector's threads,
 * which work while it waits.
 */
function clock(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1e6;
}

const collect = (globalThis as unknown as { gc: () => void }).gc;

function live(): { heap: number; arrays: number } {
  collect();
  collect(); // frees what the first one's finalisers let go
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return { heap: heapUsed, arrays: arrayBuffers };
}

const folder = process.argv[2]!;
const isForSpeed = process.argv[3] === 'speed';
const readFile = folderReader(folder);
const checkpoint = readFileSync(join(folder, 'checkpoint'));
const policyFile = readFileSync(join(folder, 'policy.txt'));
const leaves = parseCheckpoint(parseNote(checkpoint).text).size;
/** Files between two looks at the memory: twelve looks in all. */
const STEP = Math.max(1, Math.floor(leaves / 256 / 12));

const words = (count: number) => new Int32Array(new SharedArrayBuffer(4 * count));
const shared: Shared = {
  folder,
  turn: words(1),
  bundle: words(2),
  seconds: new Float64Array(new SharedArrayBuffer(8)),
};
const worker = new Worker(new URL('./bare-verify.ts', import.meta.url), { workerData: shared });

/** OpenSSL alone over the signatures of a bundle, in a thread with a heap of its own, while this one waits. */
function verifyBare(index: number, width: number): void {
  shared.bundle.set([index, width]);
  Atomics.store(shared.turn, 0, 1);
  Atomics.notify(shared.turn, 0);
  if (Atomics.wait(shared.turn, 0, 1, 60_000) === 'timed-out') throw new Error('the other thread does not answer');
}

let pauseSeconds = 0;
let files = 0;
const before = live();
const most = { heap: 0, arrays: 0 };

/**
 * A file as the audit asks for it. Before a bundle goes to the audit, OpenSSL alone verifies its signatures: both see the
 * same machine at the same time.
 */
function reading(path: string): Uint8Array | undefined {
  const started = clock();
  const file = readFile(path);
  const read = clock();
  const ref = parseTilePath(path);
  if (isForSpeed && ref?.kind === 'entries') verifyBare(ref.index, ref.width);
  if (!isForSpeed && files++ % STEP === 0) {
    const { heap, arrays } = live();
    most.heap = Math.max(most.heap, heap - before.heap);
    most.arrays = Math.max(most.arrays, arrays - before.arrays);
  }
  pauseSeconds += clock() - started - (read - started);
  return file;
}

const started = clock();
const input = { policyFile, checkpoint, readFile: reading, genesisPin: null, since: null, newBins: temporaryBins };
const { verdict } = audit(nodePrimitives, input);
const auditSeconds = clock() - started - pauseSeconds;
void worker.terminate();
const bareSeconds = shared.seconds[0]!;
const report: ChildReport = {
  verdict,
  leaves,
  auditSeconds,
  bareSeconds,
  heapBytes: most.heap,
  arrayBytes: most.arrays,
};
console.log(JSON.stringify(report));
