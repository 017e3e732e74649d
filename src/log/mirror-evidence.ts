import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { formatWitnessRequest } from '../../crypto/witness-request.ts';
import { makeFolders } from '../platform/make-folders.ts';
import { nodeDisk } from '../store/disk.ts';
import { syncUpTo, writeWhole } from './log-folder.ts';

/**
 * Keeps two heads of one log that contradict each other, durably: `held` and `offered`, signed notes, and `proof`, that the
 * offered one has another history at the held one's size. The proof is the body with which a witness would be asked to
 * follow from the one to the other (C2SP tlog-witness), and which every witness refuses. The same two give the same folder.
 *
 * @param heldSize - leaves under the held head.
 * @param proof - consistency proof from that size; empty where sizes alone tell.
 * @returns the folder.
 */
export async function keepHeads(
  folder: string,
  held: Uint8Array,
  offered: Uint8Array,
  heldSize: number,
  proof: readonly Uint8Array[],
): Promise<string> {
  const name = createHash('sha256').update(held).update(offered).digest('hex').slice(0, 16);
  const path = join(folder, 'evidence', name);
  makeFolders(path);
  await writeWhole(join(path, 'held'), held);
  await writeWhole(join(path, 'offered'), offered);
  await writeWhole(join(path, 'proof'), formatWitnessRequest({ oldSize: heldSize, proof, note: offered }));
  await syncUpTo(path, folder);
  await nodeDisk.syncFolder(folder);
  return path;
}
