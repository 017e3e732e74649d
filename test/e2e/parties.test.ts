import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { canonicalBytes, type Json } from '../../crypto/encoding.ts';
import { sitePolicyField } from '../../protocols/site-policy.ts';
import type { Task } from '../../protocols/task.ts';
import { foundLocally, type LocalFederation } from '../../src/demo/local-federation.ts';
import { Connection } from '../../src/grpc/connection.ts';
import { RoundService } from '../../src/grpc/services.ts';
import { runAggregator } from '../../src/party/aggregator.ts';
import { type RunningCoordinator, runCoordinator } from '../../src/party/coordinator.ts';
import { runMember } from '../../src/party/member.ts';
import { runNode } from '../../src/party/node.ts';
import { runRecipient } from '../../src/party/recipient.ts';
import type { Running } from '../../src/party/running.ts';
import { runWitness } from '../../src/party/witness.ts';
import { loadTlsIdentity } from '../../src/tls/files.ts';

const folder = mkdtempSync(join(tmpdir(), 'veilsum-parties-'));
const nodes = ['eu-1', 'us-1', 'apac-1', 'latam-1'];
const running: Running[] = [];
const results: Int32Array[] = [];
let local: LocalFederation;
let coordinator: RunningCoordinator;

const task: Task = {
  version: 1,
  task: 'lead-scoring',
  window: '2026-Q4',
  unit: 'record',
  recipients: ['model-owner'],
  dimension: 500,
  bits: 16,
  nodesMax: 16,
  minCohort: 3,
  minHonest: 2,
  minOrganisations: 2,
  noise: { sigma2Numerator: '10000', sigma2Denominator: '1' },
  sensitivity2: '100',
  clipMicro: 1_000_000,
  scale: 10,
  maxAttempts: 4,
  maxLeaves: 1000,
  uploadMs: 20_000,
  confirmMs: 10_000,
  checkSums: false,
  learning: null,
};

function updateOf(node: string, round: number): Int32Array {
  const seed = nodes.indexOf(node) + 1;
  return Int32Array.from({ length: 500 }, (_, i) => ((seed * (i * 31 + round)) % 20_000) - 10_000);
}

beforeAll(async () => {
  local = await foundLocally({
    folder,
    origin: 'test.veilsum.example/log',
    parties: [
      { name: 'coordinator', role: 'coordinator', organisation: 'hub', region: 'eu' },
      { name: 'aggregator-1', role: 'aggregator', organisation: 'hub', region: 'eu' },
      { name: 'aggregator-2', role: 'aggregator', organisation: 'hub', region: 'us' },
      ...[1, 2, 3, 4, 5].map((i) => ({
        name: `member-${i}`,
        role: 'member' as const,
        organisation: `org-${i}`,
        region: 'eu',
      })),
      ...[1, 2].map((i) => ({
        name: `witness-${i}`,
        role: 'witness' as const,
        organisation: `auditor-${i}`,
        region: 'eu',
      })),
      { name: 'model-owner', role: 'recipient', organisation: 'hub', region: 'eu' },
      ...nodes.map((name) => ({ name, role: 'node' as const, organisation: name, region: name })),
    ],
    threshold: 3,
    minimums: { cohort: 3, organisations: 2, honest: 2 },
    budget: { unit: 'record', rhoNano: 10_000_000, epsilonMicro: 1_000_000, deltaExponent: 5 },
  });
  for (const i of [1, 2, 3, 4, 5]) running.push(await runMember(local.path(`member-${i}`)));
  for (const i of [1, 2]) running.push(await runWitness(local.path(`witness-${i}`)));
  coordinator = await runCoordinator(local.path('coordinator'));
  running.push(coordinator);
  for (const leaf of local.enrolments) await coordinator.keeper.append(leaf);
  for (const i of [1, 2]) running.push(await runAggregator(local.path(`aggregator-${i}`), join(folder, 'aggregators')));
  const policy = sitePolicyField.parse({
    genesis: local.federation.genesisHash,
    tasks: ['lead-scoring'],
    recipients: ['model-owner'],
    minCohort: 3,
    minOrganisations: 2,
    minHonest: 2,
    largestSharePercent: 50,
    budgetRhoNano: 10_000_000,
    allowCheckSums: false,
  });
  for (const name of nodes) {
    const source = {
      update: async (_t: Task, round: { record: { number: number } }) => updateOf(name, round.record.number),
    };
    running.push(
      await runNode(local.path(name), async () => ({
        policy,
        tasks: [task],
        engine: 'auto',
        source,
        checkSums: () => {},
      })),
    );
  }
  const maker = {
    first: async () => new Uint8Array([1]),
    next: async (_t: Task, round: { record: { number: number } }, _m: Uint8Array, values: Int32Array) => {
      results.push(values);
      return new Uint8Array([1 + round.record.number]);
    },
  };
  running.push(await runRecipient(local.path('model-owner'), async () => ({ tasks: [task], engine: 'kernel', maker })));
}, 60_000);

afterAll(async () => {
  for (const party of running.reverse()) await party.stop();
  rmSync(folder, { recursive: true, force: true });
}, 60_000);

it('runs two rounds over gRPC and mutual TLS and opens exactly the sums', async () => {
  const tls = await loadTlsIdentity(join(folder, 'founders', 'officer'));
  const { address, tlsKeySha256 } = local.federation.coordinator;
  const officer = new Connection({ address, tls, expected: { pins: [tlsKeySha256], role: 'coordinator' } });
  for (const number of [1, 2]) {
    const started = performance.now();
    const request = { task: canonicalBytes(task as unknown as Json), requestId: new Uint8Array(16).fill(number) };
    while (coordinator.keeper.transcript.models.length < number) await new Promise((r) => setTimeout(r, 50));
    const opened = await officer.call(RoundService.open, request, { deadlineMs: 70_000 });
    while (results.length < number) await new Promise((r) => setTimeout(r, 20));
    console.log(
      'round',
      number,
      'ms',
      Math.round(performance.now() - started),
      'leaf',
      Number(opened.leafIndex),
      'log',
      coordinator.keeper.log.size,
    );
    const expected = Int32Array.from({ length: 500 }, (_, i) =>
      nodes.reduce((sum, name) => sum + updateOf(name, number)[i]!, 0),
    );
    expect(results[number - 1]).toEqual(expected);
  }
}, 60_000);
