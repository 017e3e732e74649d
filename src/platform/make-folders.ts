import { existsSync, mkdirSync, opendirSync, rmdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Makes a folder and its missing parents, one by one. Not by `mkdir` with `recursive`, which tries for ever where the
 * system answers ENOENT for a name in a folder that is there, as it does in /proc.
 *
 * @returns the folders that were missing, outermost first.
 * @throws the system's error; then none of them is left.
 */
export function makeFolders(path: string, mode = 0o777): readonly string[] {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at) && at !== dirname(at); at = dirname(at)) missing.unshift(at);
  const made: string[] = [];
  try {
    for (const folder of missing) {
      if (makeFolder(folder, mode)) made.push(folder);
    }
    opendirSync(path).closeSync(); // refuses a file of that name
    return missing;
  } catch (error) {
    removeFolders(made);
    throw error;
  }
}

/** False where another process was faster. */
function makeFolder(path: string, mode: number): boolean {
  try {
    mkdirSync(path, { mode });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Removes empty folders, the innermost (last) first; one that holds something by now stays. */
export function removeFolders(folders: readonly string[]): void {
  for (const folder of folders.toReversed()) {
    try {
      rmdirSync(folder);
    } catch {
      return;
    }
  }
}
