import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { formatPolicy } from '../../crypto/policy.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { memorySetting, smallEngine } from './memory-round.ts';
import { filesOf, p } from './paper-log.ts';

/** What a test needs to know of the golden folder. */
export interface Golden {
  /** Hash that pins it. */
  readonly genesis: string;
  /** Hash of one node's payload. */
  readonly payload: string;
}

/** Writes a log and its checkpoint as `log/` below a folder. */
export function writeLog(to: string, leaves: readonly Uint8Array[], checkpoint: Uint8Array): void {
  for (const [path, bytes] of filesOf(leaves)) {
    mkdirSync(dirname(join(to, 'log', path)), { recursive: true });
    writeFileSync(join(to, 'log', path), bytes);
  }
  writeFileSync(join(to, 'log', 'checkpoint'), checkpoint);
}

/** `log/`, `policy.txt` and `blobs/` of a round of four nodes, of which one vanishes before it confirms. */
export async function writeGolden(folder: string): Promise<Golden> {
  const federation = new MemoryFederation(memorySetting(await smallEngine(), { primitives: p }));
  federation.vanished.set('node-4', 'confirm');
  const updates = new Map(federation.nodeNames.map((name, i) => [name, new Int32Array(300).fill(i - 2)]));
  const round = federation.runRound(1, updates);
  federation.nextModel(round);
  writeLog(folder, federation.log.leaves, federation.log.checkpoint(1_700_000_100));
  writeFileSync(join(folder, 'policy.txt'), formatPolicy(policyOf(p, federation.log.transcript.genesis!)));
  mkdirSync(join(folder, 'blobs'));
  for (const [hash, bytes] of federation.blobs) writeFileSync(join(folder, 'blobs', hash), bytes);
  return { genesis: federation.log.transcript.logId, payload: round.uploads.get('node-1')!.body.payloadHash };
}
