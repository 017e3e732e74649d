import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { fetchModelFile } from '../../src/cli/model-fetch.ts';
import { listModels } from '../../src/cli/model-list.ts';
import { rollBack } from '../../src/cli/model-rollback.ts';
import { FOLDER } from '../../src/keys/party-folder.ts';
import { openStore } from '../../src/store/open-store.ts';
import { FederationLab } from './federation-lab.ts';

let lab: FederationLab;

beforeAll(async () => {
  lab = await FederationLab.start({ nodes: ['eu-1', 'us-1', 'apac-1'] });
}, 60_000);

afterAll(() => lab[Symbol.asyncDispose](), 60_000);

const yes = async (): Promise<boolean> => true;

/** What `veilsum model rollback` prints. */
async function goBack(to: number, agrees = yes): Promise<string> {
  const lines: string[] = [];
  await rollBack(lab.local.path('owner'), to, agrees, (line) => lines.push(line));
  return lines.join('\n');
}

it('takes all back to an earlier model: the log says so, nodes get it, training goes on from it over another window', async () => {
  expect(await lab.end(await lab.open(0))).toBe('released');
  await lab.log.until((t) => t.models.length === 2);
  const [first] = lab.log.transcript.models;

  await expect(rollBack(lab.local.path('eu-1'), 0, yes, () => {})).rejects.toMatchObject({ code: 'ROLE_REFUSED' });
  for (const number of [1, 7]) await expect(goBack(number)).rejects.toMatchObject({ code: 'UNKNOWN_MODEL' });
  await expect(goBack(0, async () => false)).rejects.toMatchObject({ code: 'REFUSED' });
  expect(lab.log.transcript.models).toHaveLength(2);

  const said = await goBack(0);
  expect(said).toContain('model 1 (round 1 of');
  expect(said).toContain('window w1: to go on from it, make a task with another');
  const { models } = await lab.log.until((t) => (t.models.length === 3 ? t : null));
  expect(models[2]).toMatchObject({ number: 2, restores: 0, modelHash: first!.modelHash, decide: null });
  expect(models[2]!.sealedHash).not.toBe(first!.sealedHash);
  const listed: string[] = [];
  await listModels(lab.local.path('eu-1'), false, (line) => listed.push(line));
  expect(listed.join('\n')).toMatch(/2 +model 0 again/);
  const out = join(lab.folder, 'model.safetensors');
  await fetchModelFile(lab.local.path('eu-1'), out, null, () => {});
  expect(createHash('sha256').update(readFileSync(out)).digest('hex')).toBe(first!.modelHash);

  // A recipient that has not got the model itself takes it from the coordinator.
  {
    await using store = await openStore(join(lab.local.path('owner'), FOLDER.state));
    await store.blobs.removeAll([first!.modelHash]);
  }
  await expect(lab.open(0)).rejects.toMatchObject({ code: 'WINDOW_DECIDED' });
  const id = await lab.open(1);
  await expect(goBack(1)).rejects.toMatchObject({ code: 'ROUND_RUNNING' });
  expect(await lab.end(id)).toBe('released');
  expect(lab.round(id).record).toMatchObject({ modelNumber: 2, modelHash: first!.modelHash });
  await lab.log.until((t) => t.models.length === 4);
}, 60_000);
