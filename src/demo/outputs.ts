import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { exportFromUrl } from '../cli/log-export.ts';
import { writeDurably } from '../config/files.ts';
import { FOLDER } from '../keys/party-folder.ts';
import { drawConvergence } from '../report/convergence-plot.ts';
import { openStore } from '../store/open-store.ts';
import type { DemoFederation } from './demo-federation.ts';
import type { DemoReport } from './report.ts';

const EXPORT_MS = 15_000;

/** Fetches the log as anybody can, over HTTP, once it shows at least the head that the watcher saw. */
async function fetchLog(federation: DemoFederation, folder: string): Promise<number> {
  const wanted = federation.watch.log.head?.size ?? 0;
  for (const end = performance.now() + EXPORT_MS; performance.now() < end; ) {
    const { size } = await exportFromUrl(federation.url, folder);
    if (size >= wanted) return size;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error('the coordinator did not publish its log in time');
}

/** Copies every blob, named by hash: payloads, sums, corrections, sealed boxes, answers, and the sealed models. */
async function copyBlobs(federation: DemoFederation, folder: string): Promise<number> {
  mkdirSync(folder, { recursive: true });
  await using store = await openStore(federation.aggregatorState);
  const blobs = await store.blobs.list();
  for (const { hash } of blobs) writeDurably(join(folder, hash), await store.blobs.get(hash));
  await using models = await openStore(join(federation.local.path('coordinator'), FOLDER.state));
  const { transcript } = federation.watch;
  for (const { sealedHash } of transcript.models)
    writeDurably(join(folder, sealedHash), await models.blobs.get(sealedHash));
  return blobs.length + transcript.models.length;
}

async function plot(report: DemoReport): Promise<string> {
  const points = (aucs: readonly number[]) => aucs.map((auc, round) => ({ round, auc }));
  const first = report.curves.central[0]!;
  const { spent, delta } = report.epsilon;
  const aborted = report.rounds.flatMap(({ round, reason }) => (reason === null ? [] : [`${round} (${reason})`]));
  const without = aborted.length === 0 ? '' : `; aborted: round ${aborted.join(', ')}`;
  return drawConvergence({
    title: "One model for all regions, no region's rows in one place",
    subtitle: `${report.dataset}${report.synthetic ? ' (generated)' : ''}: AUC on all regions' held-out rows; record-level epsilon ${spent.toFixed(2)}, delta 1e${Math.round(Math.log10(delta))}${without}`,
    global: [
      { round: 0, auc: first },
      ...report.rounds.flatMap(({ round, auc }) => (auc === null ? [] : [{ round, auc }])),
    ],
    central: points(report.curves.central),
    regionOnly: report.curves.regionOnly.map(({ region, aucPerRound }) => ({ region, points: points(aucPerRound) })),
  });
}

/** Writes `policy.txt`, `log/` and `blobs/`: what an auditor needs. @returns leaves in the log. */
export async function exportTranscript(
  federation: DemoFederation,
  out: string,
  print: (line: string) => void,
): Promise<number> {
  copyFileSync(join(federation.local.folder, 'founders', 'policy.txt'), join(out, 'policy.txt'));
  const leaves = await fetchLog(federation, join(out, 'log'));
  const blobs = await copyBlobs(federation, join(out, 'blobs'));
  print(`Log exported (${leaves} leaves), ${blobs} blobs copied.`);
  return leaves;
}

/** Writes `report.json`, `convergence.svg`, and the transcript. */
export async function writeOutputs(
  federation: DemoFederation,
  report: DemoReport,
  out: string,
  print: (line: string) => void,
): Promise<void> {
  writeDurably(join(out, 'report.json'), `${JSON.stringify(report, null, 2)}\n`);
  writeDurably(join(out, 'convergence.svg'), await plot(report));
  await exportTranscript(federation, out, print);
}
