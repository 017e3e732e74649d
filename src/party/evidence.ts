import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fromUtf8, toHex } from '../../crypto/encoding.ts';
import { writeDurably } from '../config/files.ts';
import { nodePrimitives as primitives } from '../platform/primitives-node.ts';

/**
 * Keeps two heads of one log that cannot both be true, each with its signatures, in a file of its own: what its keepers
 * can be held to. The same two give the same file.
 *
 * @param folder - the party's. @returns the file's path.
 */
export function keepEvidence(folder: string, earlier: Uint8Array, later: Uint8Array): string {
  const text = `Two signed heads of one log that contradict each other. Keep this file.

--- seen first
${fromUtf8(earlier)}
--- shown later
${fromUtf8(later)}`;
  const name = toHex(primitives.sha256(new TextEncoder().encode(text))).slice(0, 16);
  const path = join(folder, 'evidence', `heads-${name}.txt`);
  if (existsSync(path)) return path;
  mkdirSync(join(folder, 'evidence'), { recursive: true, mode: 0o700 });
  writeDurably(path, text);
  return path;
}
