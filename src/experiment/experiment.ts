import { join, resolve } from 'node:path';
import { writeDurably } from '../config/files.ts';
import { requireWritableFolder } from '../config/writable-folder.ts';
import type { DatasetName } from '../learning/dataset-names.ts';
import { type Findings, type FindingsOptions, findingsOf } from './findings.ts';
import { findingsApart } from './part.ts';
import { writeReport } from './report.ts';

export interface ExperimentOptions extends FindingsOptions {
  readonly datasets: readonly DatasetName[];
  /** Datasets at once, each in a process of its own; 1 or left out: one after the other, in this one. */
  readonly jobs?: number;
}

/**
 * Federated against region-only and centralised, with the real cryptography. Kept runs are not repeated, so an experiment
 * that was stopped goes on where it was.
 */
export async function runExperiment({ datasets, jobs = 1, ...asked }: ExperimentOptions): Promise<readonly Findings[]> {
  const { print } = asked;
  const out = resolve(asked.out);
  const options = { ...asked, out };
  requireWritableFolder(out);
  const started = performance.now();
  const found = new Map<DatasetName, readonly Findings[]>();
  const inOrder = (): readonly Findings[] => datasets.flatMap((name) => found.get(name) ?? []);
  const waiting = [...datasets];
  const isApart = jobs > 1 && datasets.length > 1;
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      found.set(name, await (isApart ? findingsApart(name, options) : findingsOf(name, options)));
      print(`${name} is done: ${found.size} of ${datasets.length} datasets`);
      // After every dataset: what is there can be read while the rest goes on.
      await writeReport(out, inOrder());
      writeDurably(join(out, 'experiment.json'), `${JSON.stringify(inOrder(), null, 1)}\n`);
    }
  };
  await Promise.all(Array.from({ length: isApart ? jobs : 1 }, work));
  print(`Done in ${((performance.now() - started) / 60_000).toFixed(1)} minutes: ${join(out, 'report.html')}`);
  return inOrder();
}
