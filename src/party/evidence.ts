import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fromUtf8, toBase64, toHex } from '../../crypto/encoding.ts';
import { writeDurably } from '../config/files.ts';
import { keepHeads } from '../log/mirror-evidence.ts';
import { nodePrimitives as primitives } from '../platform/primitives-node.ts';
import type { Contradiction } from './log-reader.ts';

/**
 * Keeps two signed heads of one log that cannot both be true, and the proof of it, as `log mirror` does: the smaller one as
 * `held`, the larger one as `offered`. What their keepers can be held to.
 *
 * @param folder - the party's. @returns the folder of this evidence.
 */
export function keepContradiction(folder: string, { smaller, larger, size, proof }: Contradiction): Promise<string> {
  return keepHeads(folder, smaller, larger, size, proof);
}

/**
 * Keeps a signed head and the root of the leaves that came with it, where they differ. Nobody signed those leaves: what they
 * show is that whoever sent them sent others than it has, and no more. The same two give the same file.
 *
 * @param folder - the party's. @returns the file's path.
 */
export function keepOtherLeaves(folder: string, head: Uint8Array, root: Uint8Array): string {
  const text = `The leaves that were sent with this signed head do not hash to it. Their root, which nobody signed: ${toBase64(root)}

${fromUtf8(head)}`;
  const name = toHex(primitives.sha256(new TextEncoder().encode(text))).slice(0, 16);
  const path = join(folder, 'evidence', `leaves-${name}.txt`);
  if (existsSync(path)) return path;
  mkdirSync(join(folder, 'evidence'), { recursive: true, mode: 0o700 });
  writeDurably(path, text);
  return path;
}
