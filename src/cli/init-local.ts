import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { writeDurably } from '../config/files.ts';
import { nodeName, RECIPIENT } from '../demo/job-federation.ts';
import { foundLocally, type LocalFederation, type LocalParty, writeSite } from '../demo/local-federation.ts';
import { DATASETS } from '../learning/dataset-names.ts';
import { loadDataset, type RegionTables } from '../learning/datasets.ts';
import { formatCsv } from '../learning/table.ts';
import { COMMAND } from '../platform/command-name.ts';
import type { MadeTask } from '../training/make-task.ts';
import { CliError } from './exit.ts';
import { localFeatures } from './local-regions.ts';
import { maskingLines } from './masking-flags.ts';
import { noiseLines } from './noise-words.ts';
import { epsilonText } from './output.ts';
import { given, taskOf } from './task-new.ts';

/** Flags of `init --local`. */
export const localSettings = z.strictObject({
  origin: z.string().min(1).default('local.veilsum.example/log'),
  threshold: z.int().min(2).default(3),
  minOrganisations: z.int().min(1).optional(),
  minCohort: z.int().min(2).optional(),
  minHonest: z.int().min(2).optional(),
  epsilon: z.number().positive().default(8),
  delta: z.number().positive().max(0.1).default(1e-5),
  nodes: z.int().min(2).max(64).optional(),
  rounds: z.int().min(1).default(10),
  dataset: z.enum(DATASETS).optional(),
  features: z.string().min(1).optional(),
  dimension: z.int().min(1).max(1e8).optional(),
  masking: z.enum(['pairwise', 'none']).optional(),
  buffer: z.int().min(2).optional(),
  maxStaleness: z.int().min(0).optional(),
});
export type LocalSettings = z.infer<typeof localSettings>;

function partiesOf(nodes: readonly string[], threshold: number): LocalParty[] {
  const place = (name: string, role: LocalParty['role'], organisation = name): LocalParty => ({
    name,
    role,
    organisation,
    region: 'local',
  });
  const numbered = (role: LocalParty['role'], count: number): LocalParty[] =>
    Array.from({ length: count }, (_, i) => place(`${role}-${i + 1}`, role));
  return [
    place('coordinator', 'coordinator'),
    ...numbered('aggregator', 2),
    ...numbered('member', 2 * threshold - 1),
    ...numbered('witness', 2),
    place(RECIPIENT, 'recipient'),
    ...nodes.map((name) => place(name, 'node', `${name}-office`)),
  ];
}

function writeTables(folder: string, tables: RegionTables): { train: string; heldOut: string } {
  writeDurably(join(folder, 'train.csv'), formatCsv(tables.train), 0o600);
  writeDurably(join(folder, 'held-out.csv'), formatCsv(tables.heldOut), 0o600);
  return { train: 'train.csv', heldOut: 'held-out.csv' };
}

/** Found with what the task needs: the log's minimums are the task's own. */
async function found(
  folder: string,
  settings: LocalSettings,
  nodes: readonly string[],
  { task, budget }: MadeTask,
): Promise<LocalFederation> {
  return foundLocally({
    folder,
    origin: settings.origin,
    parties: partiesOf(nodes, settings.threshold),
    threshold: settings.threshold,
    minimums: { cohort: task.minCohort, organisations: task.minOrganisations, honest: task.minHonest },
    budget: { unit: task.unit, ...budget },
  });
}

/**
 * All parties of a federation in folders of this machine, with a task, site policies and, where a dataset is named,
 * tables. Nothing runs yet.
 */
export async function initLocally(
  folder: string,
  settings: LocalSettings,
  print: (line: string) => void,
): Promise<void> {
  if (existsSync(join(folder, 'founders')))
    throw new CliError('FILE_EXISTS', `${folder} holds a federation already: choose another --dir`);
  const inTheWay = ['task.json', 'start.sh', 'parties'].find((name) => existsSync(join(folder, name)));
  if (inTheWay !== undefined)
    throw new CliError('FILE_EXISTS', `${join(folder, inTheWay)} is in the way: choose another --dir`);
  const { threshold, epsilon, delta, rounds } = settings;
  const features = settings.features === undefined ? null : localFeatures(settings.features);
  const hasTables = settings.dimension === undefined && features === null;
  const dataset = hasTables ? (settings.dataset ?? 'synthetic') : undefined;
  const regions = dataset === undefined ? [] : loadDataset(dataset, { folder: process.env['VEILSUM_DATA'] }).regions;
  const nodes =
    dataset === undefined
      ? Array.from({ length: settings.nodes ?? 4 }, (_, i) => `node-${i + 1}`)
      : regions.map(({ name }) => nodeName(name));
  const { minCohort, minHonest, minOrganisations } = settings;
  const made = taskOf({
    ...{ recipient: [RECIPIENT], nodes: nodes.length, window: 'first', rounds, epsilon, delta },
    ...{ members: 2 * threshold - 1, threshold, uploadMs: 30_000, confirmMs: 15_000 },
    ...(dataset !== undefined
      ? { dataset }
      : features !== null
        ? { features: features.named }
        : { dimension: settings.dimension! }),
    ...(minCohort === undefined ? {} : { minCohort }),
    ...(minHonest === undefined ? {} : { minHonest }),
    ...(minOrganisations === undefined ? {} : { minOrganisations }),
    ...given({ masking: settings.masking, buffer: settings.buffer, maxStaleness: settings.maxStaleness }),
  });
  const local = await found(folder, settings, nodes, made);
  for (const [i, node] of nodes.entries()) {
    const data = dataset === undefined ? null : writeTables(local.path(node), regions[i]!);
    writeSite(local, node, made.task, made.budget.rhoNano, data, 'auto');
    features?.write(local.path(node));
  }
  const task = `${JSON.stringify(made.task, null, 2)}\n`;
  writeDurably(join(folder, 'task.json'), task);
  writeDurably(join(local.path(RECIPIENT), 'task.json'), task);
  writeDurably(join(local.path(RECIPIENT), 'recipient.yaml'), 'tasks: [task.json]\n');
  writeDurably(
    join(folder, 'start.sh'),
    startScript(local, features !== null ? 'regions' : hasTables ? 'tables' : 'files'),
    0o755,
  );
  const at = relative('.', folder) || '.';
  print(
    `Federation of ${local.cards.length} parties in ${at}: ${threshold} of ${2 * threshold - 1} members open a sum, ${nodes.length} nodes.`,
  );
  print(`genesis ${local.federation.genesisHash}`);
  print(
    `task ${made.task.task}: one round costs epsilon ${epsilonText(made.epsilonPerRound)}, ${rounds} of them ${epsilonText(made.epsilon)} (delta 1e-${made.budget.deltaExponent}, per ${made.task.unit})`,
  );
  for (const line of [...maskingLines(made.task), ...noiseLines(made.task, nodes.length)]) print(line);
  const put = `${at}/parties/{${nodes.join(',')}}/{${features?.files.join(',')}}`;
  const steps: readonly (readonly [string, string])[] = [
    ...(features === null
      ? []
      : [
          ['Put the tables of each region in place, or name them in its region.yaml', put] as const,
          [
            'Look whether they fit',
            `${COMMAND} node train --config ${at}/parties/${nodes[0]}/region.yaml --check`,
          ] as const,
        ]),
    ['Start all parties (each a process; Ctrl-C stops them)', `sh ${at}/start.sh`],
    ...(settings.dimension !== undefined
      ? [
          [
            `Then an update from every node, ${nodes[0]} to ${nodes.at(-1)} (each waits for a round)`,
            `${COMMAND} node submit --dir ${at}/parties/${nodes[0]} --update FILE`,
          ] as const,
        ]
      : []),
    ['Open a round', `${COMMAND} round open --dir ${at}/founders --task ${at}/task.json --yes --wait`],
    ['Fetch its sum', `${COMMAND} result fetch --dir ${at}/parties/${RECIPIENT} --round 1 --out sum.json`],
    [
      'Audit the log',
      `${COMMAND} audit ${at}/log --policy ${at}/founders/policy.txt --genesis ${local.federation.genesisHash}`,
    ],
  ];
  print('');
  for (const [what, command] of steps) print(`${what}:\n  ${command}`);
}

/** Where nodes' updates come from: tables in `node.yaml`, tables in `region.yaml`, files that are submitted. */
type Updates = 'tables' | 'regions' | 'files';

/** The launcher of this copy, checkout (`src/cli`) or package (`dist/src/cli`). */
const LAUNCHER = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? '../launcher.mjs' : '../../../src/launcher.mjs', import.meta.url),
);
const shellQuoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A shell script that does by itself what people on many machines do one by one. */
function startScript({ cards }: LocalFederation, updates: Updates): string {
  const of = (...roles: string[]) => cards.filter(({ role }) => roles.includes(role));
  const isByFile = updates === 'files';
  const nodes = of('node').map(({ name }) => name);
  const region = '"parties/$1/region.yaml"';
  const lines = [
    '#!/bin/sh',
    '# Starts every party of this federation on this machine and enrols them. Output: output/NAME.log. Ctrl-C stops all.',
    'cd "$(dirname "$0")" || exit 1',
    'mkdir -p output',
    '# By its place: npx finds the command below a checkout only, and elsewhere asks a registry for one of that name.',
    `veilsum() { exec node ${shellQuoted(LAUNCHER)} "$@"; }`,
    ...(updates === 'regions'
      ? [
          '# Tables that do not fit stop it here, before anything runs.',
          `check() { (veilsum node train --config ${region} --check) >"output/$1.log" 2>&1 && return; cat "output/$1.log"; echo "$1: its tables do not fit, nothing was started"; exit 1; }`,
          ...nodes.map((name) => `check ${name}`),
        ]
      : []),
    'started=',
    'run() { name=$1; shift; veilsum "$@" --dir "parties/$name" >"output/$name.log" 2>&1 & started="$started $!"; }',
    ...(updates === 'regions'
      ? [`train() { veilsum node train --config ${region} >"output/$1.log" 2>&1 & started="$started $!"; }`]
      : []),
    'stop() { trap - INT TERM; kill $started 2>/dev/null; wait; exit 0; }',
    'trap stop INT TERM',
    ...of('member', 'witness').map(({ name, role }) => `run ${name} ${role}`),
    'run coordinator coordinator --export log --http 127.0.0.1:0',
    '# The log needs its witnesses before anybody can be enrolled.',
    'echo "Starting, until the log takes enrolments (output/enrol.log says what it waits for) ..."',
    `until (veilsum enrol ${of('aggregator', 'recipient', 'node')
      .map(({ name }) => `parties/${name}/card.json`)
      .join(' ')} --dir founders) >output/enrol.log 2>&1; do sleep 1; done`,
    'cat output/enrol.log',
    ...of('aggregator').map(({ name }) => `run ${name} aggregator --state parties/aggregators-state`),
    ...of('recipient').map(({ name }) => `run ${name} recipient run`),
    ...(isByFile ? [] : nodes.map((name) => (updates === 'regions' ? `train ${name}` : `run ${name} node run`))),
    `echo "${cards.length - (isByFile ? nodes.length : 0)} parties run; their output is in $(pwd)/output. Stop them with Ctrl-C."`,
    'wait',
  ];
  return `${lines.join('\n')}\n`;
}
