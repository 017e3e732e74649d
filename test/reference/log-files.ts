import { type FileReader, LogWalk } from '../../crypto/log-files.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';

/** A log's files, read through and kept. */
export function readLogFiles(size: number, readFile: FileReader) {
  const walk = new LogWalk(p, size, readFile);
  const entries = [...walk.bundles()].flatMap((bundle) => bundle.entries);
  return { entries, root: walk.root, findings: walk.findings };
}
