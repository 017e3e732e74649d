import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createKernelEngine } from '../../crypto/engine-kernel.ts';
import { deriveParameters, ringShape } from '../../crypto/params.ts';
import { formatPolicy } from '../../crypto/policy.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { loadKernelModule } from '../../src/platform/kernel.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
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
  const request = { dimension: 300, bits: 16, nodesMax: 16, minCohort: 2, minHonest: 2 };
  const shape = ringShape(deriveParameters({ ...request, members: 3, threshold: 2 }));
  const engine = await createKernelEngine(loadKernelModule(), shape);
  const federation = new MemoryFederation({
    primitives: p,
    rng: systemRng,
    engine: () => engine,
    nodes: 4,
    members: 3,
    threshold: 2,
    request,
    budgetRhoNano: 1_000_000_000,
    sigma2: 10_000n,
    sensitivity2: 100n,
  });
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
