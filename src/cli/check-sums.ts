import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Round } from '../../protocols/transcript.ts';
import { writeDurably } from '../config/files.ts';

/** Where a node writes its plain integers when a round asks for it and the site allows it. Private, never sent. */
function checkSumPath(folder: string, roundId: string): string {
  return join(folder, 'check-sums', `${roundId}.i32`);
}

/** Little-endian 32-bit integers, mode 0600: what the node quantised and noised, to be compared with the opened sum. */
export function writeCheckSums(folder: string, round: Round, values: Int32Array): void {
  mkdirSync(join(folder, 'check-sums'), { recursive: true, mode: 0o700 });
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  writeDurably(checkSumPath(folder, round.id), bytes, 0o600);
}
