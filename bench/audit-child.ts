// One audit of a log's folder in a process of its own, so that its memory is nobody else's. Prints one line of JSON.
//   node --expose-gc bench/audit-child.ts FOLDER
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseCheckpoint } from '../crypto/checkpoint.ts';
import { DOMAIN, labelBytes } from '../crypto/domain.ts';
import { canonicalBytes, concat, fromBase64, fromUtf8, type Json } from '../crypto/encoding.ts';
import { parseNote } from '../crypto/note.ts';
import { parseBundle, parseTilePath } from '../crypto/tiles.ts';
import { audit } from '../protocols/audit.ts';
import type { Body } from '../protocols/leaves.ts';
import { folderReader } from '../src/log/log-folder.ts';
import { nodePrimitives } from '../src/platform/primitives-node.ts';

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

const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const LABEL = concat(labelBytes(DOMAIN.leaf), new Uint8Array(1));
const keys = new Map<string, KeyObject>();

function addKey({ name, key }: { readonly name: string; readonly key: string }): void {
  keys.set(name, createPublicKey({ key: Buffer.concat([SPKI, fromBase64(key)]), format: 'der', type: 'spki' }));
}

/** What a signature is over, ready for OpenSSL: none of this is measured. */
function jobOf(bytes: Uint8Array) {
  const { sig, ...leaf } = JSON.parse(fromUtf8(bytes)) as { [key: string]: Json } & { sig: string };
  if (leaf['kind'] === 'genesis') {
    const { rootKey, coordinator, members } = leaf['body'] as unknown as Body<'genesis'>;
    for (const party of [{ name: 'root', key: rootKey }, coordinator, ...members]) addKey(party);
  }
  if (leaf['kind'] === 'enrol') addKey(leaf['body'] as unknown as Body<'enrol'>);
  const message = concat(LABEL, canonicalBytes(leaf as Json));
  return { message, key: keys.get(leaf['actor'] as string)!, signature: fromBase64(sig) };
}

/** Seconds that OpenSSL alone takes over the signatures of a bundle. */
function bare(bundle: Uint8Array, width: number): number {
  const jobs = parseBundle(bundle, width).map(jobOf);
  const started = clock();
  for (const { key, message, signature } of jobs) {
    if (!verify(null, message, key, signature)) throw new Error('a signature of the log does not verify');
  }
  return clock() - started;
}

const folder = process.argv[2]!;
const readFile = folderReader(folder);
const checkpoint = readFileSync(join(folder, 'checkpoint'));
const policyFile = readFileSync(join(folder, 'policy.txt'));
const leaves = parseCheckpoint(parseNote(checkpoint).text).size;
/** Files between two looks at the memory: twelve looks in all. */
const STEP = Math.max(1, Math.floor(leaves / 256 / 12));

let bareSeconds = 0;
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
  if (file !== undefined && ref?.kind === 'entries') bareSeconds += bare(file, ref.width);
  if (files++ % STEP === 0) {
    const { heap, arrays } = live();
    most.heap = Math.max(most.heap, heap - before.heap);
    most.arrays = Math.max(most.arrays, arrays - before.arrays);
  }
  pauseSeconds += clock() - started - (read - started);
  return file;
}

const started = clock();
const input = { policyFile, checkpoint, readFile: reading, genesisPin: null, since: null };
const { verdict } = audit(nodePrimitives, input);
const auditSeconds = clock() - started - pauseSeconds;
const report: ChildReport = {
  verdict,
  leaves,
  auditSeconds,
  bareSeconds,
  heapBytes: most.heap,
  arrayBytes: most.arrays,
};
console.log(JSON.stringify(report));
