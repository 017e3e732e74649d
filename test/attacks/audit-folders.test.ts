import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { fromUtf8 } from '../../crypto/encoding.ts';
import { parseBundle } from '../../crypto/tiles.ts';
import { auditFolder } from '../../src/audit/audit-folder.ts';
import { type Golden, writeGolden } from '../reference/golden-folder.ts';

/** Longer than any disk can be read in a test; sparse, so that it costs nothing. */
const HUGE_BYTES = 2 ** 42;

/** Controls: any length will do; a huge file has the hash that it is named by, as a node that logged it can bring about. */
const weak = vi.hoisted(() => ({ bounds: false, hashesFit: false }));
/** Lengths of huge files that would have been hashed. */
const hashed: number[] = [];
vi.mock('../../protocols/blob-bounds.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/blob-bounds.ts')>();
  const none = { payloads: Infinity, corrections: Infinity, boxes: Infinity, answers: Infinity };
  const blobBounds: typeof original.blobBounds = (...args) => (weak.bounds ? none : original.blobBounds(...args));
  const modelBound: typeof original.modelBound = (bytes) => (weak.bounds ? Infinity : original.modelBound(bytes));
  return { ...original, blobBounds, modelBound };
});
vi.mock('../../src/audit/blob-folder.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../src/audit/blob-folder.ts')>();
  const blobFolder: typeof original.blobFolder = (folder) => {
    const blobs = original.blobFolder(folder);
    const open: typeof blobs.open = (name) => {
      const blob = blobs.open(name);
      if (blob === null || blob.lengthBytes < HUGE_BYTES) return blob;
      const { lengthBytes, read } = blob;
      return {
        get sha256() {
          hashed.push(lengthBytes);
          return weak.hashesFit ? name : 'ab'.repeat(32);
        },
        lengthBytes,
        read,
        [Symbol.dispose]: () => blob[Symbol.dispose](),
      };
    };
    return { open };
  };
  return { ...original, blobFolder };
});

const scratch = mkdtempSync(join(tmpdir(), 'veilsum-folders-'));
let golden: Golden;
let folder = '';

beforeAll(async () => {
  golden = await writeGolden(join(scratch, 'golden'));
});
beforeEach(() => {
  folder = mkdtempSync(join(scratch, 'case-'));
  cpSync(join(scratch, 'golden'), folder, { recursive: true });
  hashed.length = 0;
});
afterEach(() => {
  weak.bounds = false;
  weak.hashesFit = false;
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function look() {
  const { genesis } = golden;
  const request = { folder: join(folder, 'log'), policyFile: join(folder, 'policy.txt'), genesis };
  return auditFolder({ ...request, blobs: join(folder, 'blobs') });
}

const found = ({ json }: { json: object }) => (json as { findings: { code: string; why: string }[] }).findings;

/** A field that names a blob, of the first leaf that has it. */
function named(kind: string, blobOf: (body: never) => string): string {
  const entries = join(folder, 'log', 'tile', 'entries', '000.p');
  const [width] = readdirSync(entries);
  const bundle = parseBundle(new Uint8Array(readFileSync(join(entries, width!))), Number(width));
  const leaves = bundle.map((entry) => JSON.parse(fromUtf8(entry)) as { kind: string; body: never });
  return blobOf(leaves.find((leaf) => leaf.kind === kind)!.body);
}

describe('a folder of blobs from a stranger', () => {
  const kinds = {
    payload: () => golden.payload,
    sum: () => named('close', ({ sumHash }: { sumHash: string }) => sumHash),
    correction: () => named('confirm', ({ correctionHash }: { correctionHash: string }) => correctionHash),
    box: () => named('confirm', ({ boxes }: { boxes: { hash: string }[] }) => boxes[0]!.hash),
    answer: () => named('answer', ({ sealed }: { sealed: { hash: string }[] }) => sealed[0]!.hash),
    model: () => named('model', ({ sealedHash }: { sealedHash: string }) => sealedHash),
  };

  it.each(Object.entries(kinds))('with a %s of terabytes: found at once, never read', async (_kind, blobOf) => {
    const path = join(folder, 'blobs', blobOf());
    writeFileSync(path, '', { flag: 'a' });
    truncateSync(path, HUGE_BYTES);
    const outcome = await look();
    expect([outcome.exitCode, found(outcome)[0]?.code, hashed]).toEqual([1, 'BLOB_CORRUPT', []]);
    weak.bounds = true;
    await look();
    expect(hashed).toContain(HUGE_BYTES); // control: it is read to its end
  });

  it('with a correction of terabytes whose hash its node did log: no crash; control: without the bound there is one', async () => {
    const path = join(folder, 'blobs', kinds.correction());
    truncateSync(path, HUGE_BYTES);
    weak.hashesFit = true;
    expect(found(await look()).map(({ code }) => code)).toEqual(['BLOB_CORRUPT']);
    weak.bounds = true;
    await expect(look()).rejects.toThrow(RangeError);
  });
});
