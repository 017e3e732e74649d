import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

/**
 * Writes the auditor's page for a person to open. Found at ../../build from this file: build/ of a checkout, dist/build/ of
 * a package.
 *
 * @returns the page's SHA-256, hexadecimal, to be compared with what others were given.
 * @throws Error that says how to build it, if it is not there.
 */
export function writePage(path: string): string {
  let page: Buffer;
  try {
    page = readFileSync(new URL('../../build/auditor.html', import.meta.url));
  } catch (cause) {
    const message =
      'build/auditor.html is missing: run `npm run build:auditor` (it needs the development dependencies)';
    throw new Error(message, { cause });
  }
  writeFileSync(path, page);
  return createHash('sha256').update(page).digest('hex');
}
