// A thread that does nothing but verify the signatures of one bundle of leaves after the other, when it is asked to.
import { createPublicKey, type KeyObject, verify } from 'node:crypto';
import { workerData } from 'node:worker_threads';
import { DOMAIN, labelBytes } from '../crypto/domain.ts';
import { canonicalBytes, concat, fromBase64, fromUtf8, type Json } from '../crypto/encoding.ts';
import { parseBundle, tilePath } from '../crypto/tiles.ts';
import type { Body } from '../protocols/leaves.ts';
import { folderReader } from '../src/log/log-folder.ts';

/** What both threads see: 1 in `turn` asks for a bundle, 0 says that it is done; `seconds` adds up. */
export interface Shared {
  readonly folder: string;
  readonly turn: Int32Array;
  /** Index and width of the bundle. */
  readonly bundle: Int32Array;
  readonly seconds: Float64Array;
}

const { folder, turn, bundle, seconds } = workerData as Shared;
const readFile = folderReader(folder);
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

while (Atomics.wait(turn, 0, 0) !== 'timed-out') {
  const [index, width] = [bundle[0]!, bundle[1]!];
  const jobs = parseBundle(readFile(tilePath({ kind: 'entries', level: 0, index, width }))!, width).map(jobOf);
  const before = process.threadCpuUsage();
  for (const { key, message, signature } of jobs) {
    if (!verify(null, message, key, signature)) throw new Error('a signature of the log does not verify');
  }
  const { user, system } = process.threadCpuUsage(before);
  seconds[0]! += (user + system) / 1e6;
  Atomics.store(turn, 0, 0);
  Atomics.notify(turn, 0);
}
