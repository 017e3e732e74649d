import { mkdtempSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolders, removeFolders } from '../platform/make-folders.ts';
import { ConfigError } from './errors.ts';

/**
 * Makes a folder for output where it is missing, and tries it: before hours of work, not after them.
 *
 * @throws ConfigError FOLDER_UNUSABLE with the system's reason; then nothing is left behind.
 */
export function requireWritableFolder(path: string): void {
  let made: readonly string[] = [];
  try {
    made = makeFolders(path);
    rmdirSync(mkdtempSync(join(path, '.try-')));
  } catch (cause) {
    removeFolders(made);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError('FOLDER_UNUSABLE', `cannot write into ${path}: ${reason}`, { cause });
  }
}
