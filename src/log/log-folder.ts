import { closeSync, constants, fstatSync, openSync, readFileSync, realpathSync } from 'node:fs';
import { open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseCheckpoint } from '../../crypto/checkpoint.ts';
import { bytesEqual } from '../../crypto/encoding.ts';
import { parseNote } from '../../crypto/note.ts';
import { TILE_WIDTH, type TileRef, tileFits, tilePath, tilesOf } from '../../crypto/tiles.ts';
import { makeFolders } from '../platform/make-folders.ts';
import { nodeDisk } from '../store/disk.ts';
import { asStoreError, StoreError } from '../store/errors.ts';
import type { LogStore } from './log-store.ts';

/** Largest file of a log: a full bundle of the longest entries. */
const MAX_FILE_BYTES = TILE_WIDTH * (2 + 65_535);

/**
 * Writes the published log as a C2SP tlog-tiles folder: `tile/...` first, `checkpoint` last and in one step, so that at
 * every moment the folder's checkpoint has all its files. Run again after more was published, it adds what is new. One
 * process at a time per folder.
 *
 * @returns the number of files written.
 * @throws StoreError NOT_FOUND when nothing is published; CONFLICT when the folder holds another log, another history, or
 *   more than this log has (which was then rolled back), and the folder is left as it was; FULL, IO_FAILED.
 */
export async function exportLog(log: LogStore, folder: string): Promise<number> {
  try {
    const published = log.published;
    if (published === undefined) throw new StoreError('NOT_FOUND', 'no checkpoint is published yet');
    const exported = await requirePrefix(log, folder, published.checkpoint.size);
    const folders = new Set<string>();
    const fresh: TileRef[] = [];
    let written = 0;
    for (const ref of tilesOf(published.checkpoint.size)) {
      const path = join(folder, tilePath(ref));
      // What an earlier checkpoint already covered is there: only the right edge of the tree is new.
      if (tileFits(ref, exported) && (await exists(path))) continue;
      const bytes = await log.file(tilePath(ref));
      if (bytes === undefined) throw new StoreError('CORRUPT', 'the published log lacks a file');
      if (await writeOnce(path, bytes)) written++;
      folders.add(dirname(path));
      fresh.push(ref);
    }
    for (const made of folders) await syncUpTo(made, folder);
    await writeWhole(join(folder, 'checkpoint'), published.note);
    await nodeDisk.syncFolder(folder);
    // Only now: the checkpoint before may have asked for them.
    for (const ref of fresh) await removePartial(folder, ref);
    return written + 1;
  } catch (cause) {
    throw (cause as { code?: unknown }).code === undefined ? cause : asStoreError(cause);
  }
}

/** Size of the checkpoint that is there, which must be a prefix of the log; 0 where there is none. */
async function requirePrefix(log: LogStore, folder: string, size: number): Promise<number> {
  makeFolders(folder);
  if (!(await exists(join(folder, 'checkpoint')))) return 0;
  const conflict = (message: string, cause?: unknown): StoreError => new StoreError('CONFLICT', message, { cause });
  let there: ReturnType<typeof parseCheckpoint>;
  try {
    there = parseCheckpoint(parseNote(await readFile(join(folder, 'checkpoint'))).text);
  } catch (cause) {
    throw conflict('the folder holds a checkpoint that is none', cause);
  }
  if (there.origin !== log.origin) throw conflict('the folder holds another log');
  if (there.size > size) throw conflict('the folder holds more than this log has');
  if (!bytesEqual(there.root, log.root(there.size))) throw conflict('the folder holds another history of this log');
  return there.size;
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** False where the same bytes are there already. Tiles never change: other bytes are another history. */
async function writeOnce(path: string, bytes: Uint8Array): Promise<boolean> {
  if (await exists(path)) {
    if (bytesEqual(await readFile(path), bytes)) return false;
    throw new StoreError('CONFLICT', 'a tile of the folder differs from the log');
  }
  makeFolders(dirname(path));
  await writeWhole(path, bytes);
  return true;
}

/** Whole or not at all. Its folder must be there; syncing that is the caller's. */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, 'w', 0o644);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/** Removes the partial tiles that a full one takes the place of. */
export async function removePartial(folder: string, ref: TileRef): Promise<void> {
  if (ref.width === TILE_WIDTH) await rm(`${join(folder, tilePath(ref))}.p`, { recursive: true, force: true });
}

/** Makes the names of a folder and its parents durable, up to `root`, which is left to the caller. */
export async function syncUpTo(folder: string, root: string): Promise<void> {
  for (let current = folder; current !== root && current !== dirname(current); current = dirname(current)) {
    await nodeDisk.syncFolder(current);
  }
}

/**
 * Reads a log's folder that a stranger gave: regular files only, of bounded size, no symlinks as files or as folders on
 * the way, and only paths that `tilePath` writes (which hold no `..`). Undefined where there is no such file.
 *
 * @param folder - may itself be a symlink, for a person named it; empty for files that a person names one by one.
 */
export function folderReader(folder: string): (path: string) => Uint8Array | undefined {
  const inside = new Set<string>();
  const leadsElsewhere = (path: string): boolean => {
    const within = dirname(path);
    if (folder === '' || inside.has(within)) return false;
    if (realpathSync(join(folder, within)) !== join(realpathSync(folder), within)) return true;
    inside.add(within);
    return false;
  };
  return (path) => {
    let descriptor: number;
    try {
      if (leadsElsewhere(path)) return undefined;
      descriptor = openSync(join(folder, path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch {
      return undefined;
    }
    try {
      const { size } = fstatSync(descriptor);
      if (!fstatSync(descriptor).isFile() || size > MAX_FILE_BYTES) return undefined;
      return new Uint8Array(readFileSync(descriptor));
    } finally {
      closeSync(descriptor);
    }
  };
}
