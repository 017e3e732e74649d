import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import {
  auditTranscript,
  currentVersion,
  type Expected,
  keptVersions,
  TRANSCRIPTS,
  writeTranscript,
} from '../transcripts/write.ts';

const scratch = mkdtempSync(join(tmpdir(), 'veilsum-transcripts-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const expectedOf = (folder: string): Expected => JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8'));

/** Bytes of all files below a folder. */
function weight(folder: string): number {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

/** A control: an auditor for whom leaves are signed under another label, as a careless change of version would have it. */
const later = vi.hoisted(() => ({ label: null as string | null }));
vi.mock('../../crypto/domain.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/domain.ts')>();
  const DOMAIN = {
    ...original.DOMAIN,
    get leaf(): string {
      return later.label ?? original.DOMAIN.leaf;
    },
  };
  return { ...original, DOMAIN };
});
afterEach(() => {
  later.label = null;
});

describe('P35: transcripts of releases', () => {
  it('this version has one', () => {
    expect(keptVersions()).toContain(currentVersion());
  });

  for (const version of keptVersions()) {
    it(`${version}: this auditor says what was said then`, async () => {
      const folder = join(TRANSCRIPTS, version);
      const expected = expectedOf(folder);
      expect(expected.version).toBe(version);
      expect(expected.verdict).toBe('verified');
      expect(expected.rounds.length).toBeGreaterThan(0);
      expect(await auditTranscript(folder, version, expected.genesis)).toEqual(expected);
      expect(weight(folder)).toBeLessThan(300_000);
      later.label = 'veilsum/v2/leaf';
      expect((await auditTranscript(folder, version, expected.genesis)).verdict).toBe('violation'); // control
    });
  }
});

describe('a transcript that is made now', () => {
  it('verifies with its blobs; no byte of it may change; it is not written twice', async () => {
    const folder = await writeTranscript(scratch, '9.9.9');
    const expected = expectedOf(folder);
    expect(expected).toMatchObject({ exitCode: 0, verdict: 'verified', findings: [] });
    expect(expected.rounds).toMatchObject([
      { outcome: 'released', attempts: 2, uploads: 3, cohort: 2 },
      { outcome: 'released', attempts: 1, uploads: 3, cohort: 3 },
    ]);
    expect(expected.blobs).toMatchObject([{ sum: 'recomputed' }, { sum: 'recomputed' }]);
    expect(weight(folder)).toBeLessThan(300_000);

    const changed = join(scratch, 'changed');
    cpSync(folder, changed, { recursive: true });
    const bundle = join(changed, 'log', 'tile', 'entries', readdirSync(join(changed, 'log', 'tile', 'entries'))[0]!);
    const path = statSync(bundle).isDirectory() ? join(bundle, readdirSync(bundle)[0]!) : bundle;
    const bytes = readFileSync(path);
    bytes[bytes.length - 40]! ^= 1;
    writeFileSync(path, bytes);
    expect((await auditTranscript(changed, '9.9.9', expected.genesis)).verdict).toBe('violation');

    await expect(writeTranscript(scratch, '9.9.9')).rejects.toThrow('never written again');
    expect(expectedOf(folder)).toEqual(expected);
  });
});
