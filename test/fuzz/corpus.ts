import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, 'corpus');
/** Names of inputs that once broke something: kept for ever, whatever they still reach. */
const KEPT = /^bug-/;

export interface CorpusFile {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** Names of targets that have a folder. */
export function corpusTargets(): string[] {
  return existsSync(ROOT)
    ? readdirSync(ROOT, { withFileTypes: true }).flatMap((e) => (e.isDirectory() ? [e.name] : []))
    : [];
}

/** In the order of their names. */
export function readCorpus(target: string): CorpusFile[] {
  const folder = join(ROOT, target);
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder).sort();
  return names.map((name) => ({ name, bytes: new Uint8Array(readFileSync(join(folder, name))) }));
}

/** Replaces a target's inputs by these; files of past bugs stay. */
export function writeCorpus(target: string, inputs: readonly Uint8Array[]): void {
  const folder = join(ROOT, target);
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) if (!KEPT.test(name)) rmSync(join(folder, name));
  for (const bytes of inputs) writeFileSync(join(folder, nameOf(bytes)), bytes);
}

/** Keeps an input that broke something. @returns its path. */
export function keepBug(target: string, bytes: Uint8Array): string {
  const folder = join(ROOT, target);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `bug-${nameOf(bytes)}`);
  writeFileSync(path, bytes);
  return path;
}

function nameOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}
