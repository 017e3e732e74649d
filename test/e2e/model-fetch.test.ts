import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fetchModelFile } from '../../src/cli/model-fetch.ts';
import { FederationLab } from './federation-lab.ts';

let lab: FederationLab;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes: ['eu-1', 'us-1', 'apac-1'] });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

it('a node and the recipient take a model as a file: sealed to them, equal to the log, their own', async () => {
  const out = join(lab.folder, 'model.safetensors');
  await lab.log.until((t) => t.models.length > 0, AbortSignal.timeout(30_000));
  const { number, modelHash } = lab.log.transcript.models[0]!;
  for (const party of ['eu-1', 'owner']) {
    const lines: string[] = [];
    await fetchModelFile(lab.local.path(party), out, number, (line) => lines.push(line));
    const bytes = readFileSync(out);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(modelHash);
    expect(lines.join()).toContain(modelHash);
    expect(statSync(out).mode & 0o077).toBe(0);
  }
  const refused: [string, string, number, string][] = [
    ['eu-1', out, 99, 'UNKNOWN_MODEL'],
    ['eu-1', join(lab.folder, 'model.bin'), number, 'USAGE'],
    ['coordinator', out, number, 'ROLE_REFUSED'],
  ];
  for (const [party, path, wanted, code] of refused)
    await expect(fetchModelFile(lab.local.path(party), path, wanted, () => {})).rejects.toMatchObject({ code });
}, 60_000);
