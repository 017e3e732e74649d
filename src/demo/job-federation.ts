import { join } from 'node:path';
import { fromBase64 } from '../../crypto/encoding.ts';
import { isRejection } from '../../protocols/errors.ts';
import { parseVerifiedGenesis } from '../../protocols/genesis.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import type { Task } from '../../protocols/task.ts';
import { ConfigError } from '../config/errors.ts';
import { writeDurably } from '../config/files.ts';
import { LogService } from '../grpc/services.ts';
import type { RegionTables } from '../learning/datasets.ts';
import { formatCsv } from '../learning/table.ts';
import { nodePrimitives as p } from '../platform/primitives-node.ts';
import type { Budget } from '../training/budget.ts';
import { DemoFederation } from './demo-federation.ts';
import { foundLocally, type LocalParty, writeSite } from './local-federation.ts';

/** A quorum of 3 of 5 opens sums. */
export const QUORUM = { members: 5, threshold: 3 };
/** Who opens sums and makes models. */
export const RECIPIENT = 'model-owner';

/** A task that trains on tables, one node for each region. */
export interface TableJob {
  /** Everything that the parties keep goes here. */
  readonly folder: string;
  /** The log's name. */
  readonly origin: string;
  readonly tables: readonly RegionTables[];
  readonly task: Task;
  readonly budget: Budget;
}

export interface FoundedJob {
  readonly federation: DemoFederation;
  /** Of the regions, in their order. */
  readonly nodes: readonly string[];
  /** Starts every party as a process; returns when nodes have read the log up to the first model. */
  start(print: (line: string) => void): Promise<void>;
}

/** Region names as party names. */
export function nodeName(region: string): string {
  const name = region
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
  return `node-${name}`.slice(0, 63);
}

function partiesOf(nodes: readonly string[]): LocalParty[] {
  const numbered = (role: LocalParty['role'], count: number, organisation: (i: number) => string): LocalParty[] =>
    Array.from({ length: count }, (_, i) => ({
      name: `${role}-${i + 1}`,
      role,
      organisation: organisation(i + 1),
      region: 'hub',
    }));
  return [
    { name: 'coordinator', role: 'coordinator', organisation: 'hub', region: 'hub' },
    ...numbered('aggregator', 2, () => 'hub'),
    ...numbered('member', QUORUM.members, (i) => `trustee-${i}`),
    ...numbered('witness', 2, (i) => `auditor-${i}`),
    { name: RECIPIENT, role: 'recipient', organisation: 'hub', region: 'hub' },
    ...nodes.map((name): LocalParty => ({ name, role: 'node', organisation: `${name}-office`, region: name })),
  ];
}

/**
 * A federation for one job on this machine: a folder and keys for every party, its table for every node. Nothing runs yet.
 *
 * @throws ConfigError when the founded genesis is not one.
 */
export async function foundJob({ folder, origin, tables, task, budget }: TableJob): Promise<FoundedJob> {
  const nodes = tables.map(({ name }) => nodeName(name));
  const local = await foundLocally({
    ...{ folder, origin, parties: partiesOf(nodes), threshold: QUORUM.threshold },
    minimums: { cohort: 2, organisations: 2, honest: 2 },
    budget: { unit: task.unit, ...budget },
  });
  for (const [i, region] of tables.entries()) {
    const own = local.path(nodes[i]!);
    writeDurably(join(own, 'train.csv'), formatCsv(region.train));
    writeDurably(join(own, 'held-out.csv'), formatCsv(region.heldOut));
    // Nodes on either engine in every round: one wire format.
    const engine = i % 2 === 0 ? 'node-seal' : 'kernel';
    writeSite(local, nodes[i]!, task, budget.rhoNano, { train: 'train.csv', heldOut: 'held-out.csv' }, engine);
  }
  writeDurably(join(local.path(RECIPIENT), 'task.json'), JSON.stringify(task, null, 2));
  writeDurably(join(local.path(RECIPIENT), 'recipient.yaml'), JSON.stringify({ tasks: ['task.json'] }, null, 2));
  const genesis = parseVerifiedGenesis(p, fromBase64(local.federation.genesis));
  if (isRejection(genesis)) throw new ConfigError('INVALID', genesis.why);
  const federation = new DemoFederation(local);
  return {
    federation,
    nodes,
    start: async (print) => {
      await federation.start(policyOf(p, genesis), print);
      for (const leaf of local.enrolments) await federation.watch.officer.call(LogService.append, { leaf });
      await federation.startWorkers(nodes, print);
      await federation.allCaughtUp(nodes);
    },
  };
}
