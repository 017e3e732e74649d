import { formatPolicy } from '../crypto/policy.ts';
import { audit } from '../protocols/audit.ts';
import { policyOf } from '../protocols/log-policy.ts';
import { MemoryFederation } from '../src/simulate/memory-federation.ts';
import { memorySetting, smallEngine } from '../test/reference/memory-round.ts';
import { filesOf, p } from '../test/reference/paper-log.ts';

/**
 * Flips every byte of a golden transcript, one at a time, and audits the whole of it each time; then drops, doubles and
 * swaps every leaf. Prints how often each reason code was the first finding. Every change must be found.
 *
 *   node src/launcher.mjs --script scripts/flip-transcript.ts [--every N]
 *
 * Takes minutes; the suite has every byte of every leaf and a sample of the rest (test/attacks/p02-*.test.ts).
 */

const every = Number(process.argv[process.argv.indexOf('--every') + 1]) || 1;

const federation = new MemoryFederation(memorySetting(await smallEngine(), { primitives: p }));
federation.vanished.set('node-4', 'confirm');
const updates = new Map(federation.nodeNames.map((name, i) => [name, new Int32Array(300).fill(i - 2)]));
federation.nextModel(federation.runRound(1, updates));
const { leaves, transcript } = federation.log;
const checkpoint = federation.log.checkpoint(1_700_000_100);
const policyFile = formatPolicy(policyOf(p, transcript.genesis!));
const golden = filesOf(leaves);

const first = new Map<string, number>();
let missed = 0;
let done = 0;

function look(what: string, changed: { files?: ReadonlyMap<string, Uint8Array>; checkpoint?: Uint8Array }): void {
  const files = changed.files ?? golden;
  const result = audit(p, {
    policyFile,
    checkpoint: changed.checkpoint ?? checkpoint,
    readFile: (path) => files.get(path),
    genesisPin: transcript.logId,
    since: null,
  });
  done++;
  // A changed line of one witness leaves the head as it was, with one witness fewer: that is what is counted for it.
  const fewer = (result.head?.cosigners.length ?? 0) < cosigners;
  const code =
    result.findings[0]?.code ?? (result.verdict !== 'verified' ? result.verdict : fewer ? 'WITNESS_MISSING' : '');
  if (code === '') {
    missed++;
    console.error(`not found: ${what}`);
  }
  first.set(code, (first.get(code) ?? 0) + 1);
}

const honest = audit(p, {
  policyFile,
  checkpoint,
  readFile: (path) => golden.get(path),
  genesisPin: transcript.logId,
  since: null,
});
if (honest.verdict !== 'verified') throw new Error('the golden transcript does not verify');
const cosigners = honest.head!.cosigners.length;

const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.with(at, bytes[at]! ^ (1 << (at % 8))) as Uint8Array;
for (let at = 0; at < checkpoint.length; at += every) look(`checkpoint ${at}`, { checkpoint: flipped(checkpoint, at) });
for (const [path, bytes] of golden)
  for (let at = 0; at < bytes.length; at += every)
    look(`${path} ${at}`, { files: new Map(golden).set(path, flipped(bytes, at)) });
for (const i of leaves.keys()) {
  look(`leaf ${i} dropped`, { files: filesOf(leaves.toSpliced(i, 1)) });
  look(`leaf ${i} doubled`, { files: filesOf(leaves.toSpliced(i, 0, leaves[i]!)) });
  if (i > 0) look(`leaf ${i} swapped`, { files: filesOf(leaves.toSpliced(i - 1, 2, leaves[i]!, leaves[i - 1]!)) });
}
console.log(`${done} changes of ${leaves.length} leaves, ${missed} not found; first findings:`);
for (const [code, count] of [...first].sort(([, a], [, b]) => b - a))
  console.log(`${String(count).padStart(8)}  ${code}`);
process.exitCode = missed === 0 ? 0 : 1;
