import { bytesEqual, toHex } from '../../../crypto/encoding.ts';
import { type AuditBlobs, BlobAuditor } from '../../../protocols/audit-blobs.ts';
import { recordHashOf } from '../../../protocols/record.ts';
import type { Round } from '../../../protocols/transcript.ts';
import { encodeParts } from '../../../src/party/parts.ts';
import { nodePrimitives as p } from '../../../src/platform/primitives-node.ts';
import { MemoryFederation } from '../../../src/simulate/memory-federation.ts';
import { memorySetting, smallEngine, updatesOf } from '../../reference/memory-round.ts';
import { law, partsOf, type Target } from '../target.ts';

/** A round of four nodes, of which one vanishes before it confirms, with all its blobs. */
async function makeLab() {
  const engine = await smallEngine();
  const federation = new MemoryFederation(memorySetting(engine));
  federation.vanished.set('node-4', 'confirm');
  const round = federation.runRound(1, updatesOf(federation.nodeNames));
  const { parameters } = round.record;
  const context = { parameters, recordHash: recordHashOf(p, round.record), engine, primitives: p };
  return { round, context, transcript: federation.log.transcript, blobs: federation.blobs, names: namesIn(round) };
}

/** Hashes that the round names, of one kind after the other. */
function namesIn(round: Round): string[] {
  const { uploads, attempts } = round;
  const confirms = attempts.flatMap((attempt) => [...attempt.confirms.values()]);
  return [
    ...[...uploads.values()].map(({ body }) => body.payloadHash),
    ...confirms.map(({ body }) => body.correctionHash),
    ...attempts.map(({ sumHash }) => sumHash),
    ...confirms.flatMap(({ body }) => body.boxes.map(({ hash }) => hash)),
  ];
}

let lab: ReturnType<typeof makeLab> | undefined;

/** What becomes of a blob: gone, other bytes than its name says, or bytes that the log itself names, whatever they are. */
const WAYS = ['gone', 'changed', 'named'] as const;

export const auditsOfBlobs: readonly Target[] = [
  {
    name: 'audit-blobs',
    reads: 'blobs as an auditor gets them: payloads, sums, corrections, boxes',
    slowdown: 100,
    // Which blob and what becomes of it; then its bytes instead. Several times.
    form: ['choices', 'bytes'],
    async seeds() {
      lab ??= makeLab();
      const { names, blobs } = await lab;
      const [payload, correction] = [names[0]!, names[4]!].map((name) => blobs.get(name)!);
      return [
        encodeParts([]),
        encodeParts([Uint8Array.of(0, 2), payload!]),
        encodeParts([Uint8Array.of(4, 2), correction!, Uint8Array.of(255, 0), new Uint8Array(0)]),
      ];
    },
    refusals: {},
    async run(input) {
      lab ??= makeLab();
      const { round, context, transcript, blobs, names } = await lab;
      const parts = partsOf(input) ?? [];
      const changes = new Map<string, { readonly way: (typeof WAYS)[number]; readonly bytes: Uint8Array }>();
      for (let i = 0; i + 1 < parts.length; i += 2) {
        const [which = 0, way = 0] = parts[i]!;
        const name = names[which];
        if (name !== undefined) changes.set(name, { way: WAYS[way % WAYS.length]!, bytes: parts[i + 1]! });
      }
      const given: AuditBlobs = {
        open(name) {
          const change = changes.get(name);
          const bytes = change?.bytes ?? blobs.get(name);
          if (bytes === undefined || change?.way === 'gone') return null;
          const sha256 = change?.way === 'named' ? name : toHex(p.sha256(bytes));
          const read = (at: number, length: number): Uint8Array => bytes.subarray(at, at + length);
          return { sha256, lengthBytes: bytes.length, read, [Symbol.dispose]: () => {} };
        },
      };
      const auditor = new BlobAuditor(given, async () => context);
      await auditor.see(round);
      const { rounds, findings } = auditor.finish(transcript);
      const { sum, tallies } = rounds[0]!;
      for (const { named, recomputed } of Object.values(tallies)) law(recomputed <= named, 'no more than there is');
      const other = [...changes].filter(([name, { way, bytes }]) => {
        return way === 'gone' || !bytesEqual(bytes, blobs.get(name) ?? new Uint8Array(0));
      });
      law(other.length > 0 || (sum === 'recomputed' && findings.length === 0), 'what was not changed is reproduced');
      const { decision } = round as Extract<Round, { phase: 'released' }>;
      const needed = decision.attempt.cohort.flatMap(({ node, body }) => {
        return [body.payloadHash, decision.attempt.confirms.get(node)!.body.correctionHash];
      });
      const isWhole = other.every(([name]) => !needed.includes(name));
      law(sum !== 'recomputed' || isWhole, 'a sum is reproduced from its own payloads and corrections only');
      const changed = other.some(([, { way }]) => way === 'changed');
      law(!changed || findings.length > 0, 'bytes that their name does not say are found');
      return sum === 'recomputed';
    },
  },
];
