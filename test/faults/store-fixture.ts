import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect } from 'vitest';

const root = mkdtempSync(join(tmpdir(), 'veilsum-store-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

export const newFolder = (): string => mkdtempSync(join(root, 's-'));
export const bytes = (text: string): Buffer => Buffer.from(text);
export const sha256 = (content: Uint8Array): string => createHash('sha256').update(content).digest('hex');
/** Matches a StoreError of this code. */
export const code = (name: string) => expect.objectContaining({ name: 'StoreError', code: name });
export const filesOf = (folder: string): string[] => {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
};
