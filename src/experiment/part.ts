import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { DatasetName } from '../learning/dataset-names.ts';
import { type Findings, type FindingsOptions, findingsOf } from './findings.ts';

/** One dataset of an experiment in a process of its own: this file, started with an IPC channel, tells what it finds. */
type News =
  | { readonly line: string }
  | { readonly findings: readonly Findings[] }
  | { readonly failed: { readonly code: unknown; readonly message: string } };

interface Order {
  readonly name: DatasetName;
  readonly options: Omit<FindingsOptions, 'print'>;
}

/** As `findingsOf`, elsewhere. @throws Error with the code and message of what went wrong there. */
export function findingsApart(name: DatasetName, { print, ...options }: FindingsOptions): Promise<readonly Findings[]> {
  const order: Order = { name, options };
  const child = fork(fileURLToPath(import.meta.url), [], {
    serialization: 'advanced',
    execArgv: ['--disable-warning=ExperimentalWarning'],
  });
  return new Promise((resolve, reject) => {
    child.on('message', (news: News) => {
      if ('line' in news) return print(news.line);
      if ('findings' in news) resolve(news.findings);
      else reject(Object.assign(new Error(`${name}: ${news.failed.message}`), { code: news.failed.code }));
      child.disconnect();
    });
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`the process of dataset ${name} ended before it had found anything`)));
    child.send(order);
  });
}

if (process.send !== undefined && process.argv[1] === fileURLToPath(import.meta.url)) {
  const tell = (news: News): void => void process.send!(news);
  // The experiment has what it wanted, or is gone.
  process.once('disconnect', () => process.exit(0));
  process.once('message', ({ name, options }: Order) => {
    findingsOf(name, { ...options, print: (line) => tell({ line }) }).then(
      (findings) => tell({ findings }),
      (error: { readonly code?: unknown; readonly message: string }) =>
        tell({ failed: { code: error.code, message: error.message } }),
    );
  });
}
