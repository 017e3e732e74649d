import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64, toHex } from '../crypto/encoding.ts';
import { leafHash } from '../crypto/merkle.ts';
import { sitePolicyField } from '../protocols/site-policy.ts';
import type { Task } from '../protocols/task.ts';
import { runAggregator } from '../src/party/aggregator.ts';
import { runCoordinator } from '../src/party/coordinator.ts';
import type { ServedLog } from '../src/party/log-service.ts';
import { runMember } from '../src/party/member.ts';
import { runNode, type UpdateSource } from '../src/party/node.ts';
import type { Party } from '../src/party/party.ts';
import { type ModelMaker, type OpenedRound, runRecipient } from '../src/party/recipient.ts';
import { runWitness } from '../src/party/witness.ts';
import { collectBuffersWithHeap } from '../src/platform/buffer-collection.ts';
import { nodePrimitives as p } from '../src/platform/primitives-node.ts';
import { createModelMaker } from '../src/training/model-maker.ts';
import { runPlainAggregator, runPlainCoordinator, runPlainNode, runPlainRecipient } from './round-plain.ts';
import { cpuMs, stopwatch } from './stopwatch.ts';

/** One party of bench/round.ts as a process of its own, started with an IPC channel. */
export interface PartyOrder {
  readonly mode: 'sealed' | 'plain';
  readonly name: string;
  readonly role: string;
  readonly folder: string;
  readonly aggregatorState: string;
  /** Where nodes that encrypt leave the model that they train, for those that do not; common to both modes. */
  readonly models: string;
  readonly task: Task;
  readonly genesisHash: string;
  /** Enrol leaves, base64, that the coordinator appends. */
  readonly enrolments: readonly string[];
  /** Ed25519 public keys of all parties, base64, by name. */
  readonly keys: Readonly<Record<string, string>>;
}

/** A leaf with the time at which the log took it, ms since 1970 with fractions (one clock: the coordinator's). */
export interface SeenLeaf {
  readonly kind: string;
  readonly actor: string;
  readonly at: number;
}

export type PartyNews =
  | { readonly news: 'listening' }
  | { readonly news: 'opened'; readonly round: number; readonly sha256: string }
  | { readonly news: 'leaves'; readonly leaves: readonly SeenLeaf[]; readonly heads: number }
  | { readonly news: 'cpu'; readonly ms: number }
  | { readonly news: 'part'; readonly part: string; readonly ms: number };

const tell = (news: PartyNews): void => void process.send!(news);

const tellPart = (part: string, ms: number): void => tell({ news: 'part', part, ms });

/** What a node sends in a round: 16-bit integers, the same for both kinds of rounds. */
export function updateOf(node: string, round: number, dimension: number): Int32Array {
  const key = createHash('sha256').update(`${node} ${round}`).digest();
  const stream = p.aes256Ctr(key, 2 * dimension);
  const words = new Int16Array(stream.buffer, stream.byteOffset, dimension);
  const values = new Int32Array(dimension);
  // Within the 16 bits, with room for the noise that a real update carries. A loop: `from` takes 80 ms, the rest 4.
  for (let i = 0; i < dimension; i++) values[i] = words[i]! >> 1;
  return values;
}

/** Where a node that trains writes down what it put into a round. */
export function sentFile(folder: string, round: number): string {
  return join(folder, `sent-${round}.i32`);
}

export function digestOf(values: Int32Array): string {
  return createHash('sha256').update(values).digest('hex');
}

/** When the log took each leaf, told after the round so that telling costs it nothing. */
async function leavesOf(log: ServedLog['log'], from: number, seen: (hash: string) => number): Promise<SeenLeaf[]> {
  return (await log.entries(from, log.size)).map((bytes) => {
    const { kind, actor } = JSON.parse(new TextDecoder().decode(bytes)) as { kind: string; actor: string };
    return { kind, actor, at: performance.timeOrigin + seen(toHex(leafHash(p, bytes))) };
  });
}

function tellLeaves(log: ServedLog, seen: (hash: string) => number, heads: () => number): void {
  let from = 0;
  process.on('message', (order: string) => {
    if (order !== 'leaves') return;
    void leavesOf(log.log, from, seen).then((leaves) => {
      from += leaves.length;
      tell({ news: 'leaves', leaves, heads: heads() });
    });
  });
}

/** Heads that were published, counted. */
function countHeads(log: ServedLog): () => number {
  let heads = 0;
  let last = -1;
  log.onChange(() => {
    const size = log.log.published?.checkpoint.size ?? -1;
    if (size > last) heads++;
    last = size;
  });
  return () => heads;
}

const opened = (round: number, values: Int32Array): void => tell({ news: 'opened', round, sha256: digestOf(values) });

async function run(order: PartyOrder): Promise<void> {
  const { folder, role, mode, name, task, aggregatorState } = order;
  const enrolments = order.enrolments.map((leaf) => new Uint8Array(Buffer.from(leaf, 'base64')));
  const isTraining = task.learning !== null && role === 'node';
  const trained = isTraining
    ? await (await import('./train-party.ts')).trainingOf(task, name, { models: order.models, tellPart })
    : null;
  const keep = (round: number, values: Int32Array): Int32Array => {
    writeFileSync(sentFile(folder, round), values);
    return values;
  };
  const keys = new Map(Object.entries(order.keys).map(([who, key]) => [who, fromBase64(key, 32)]));
  if (role === 'witness' || (role === 'member' && mode === 'plain')) await runWitness(folder);
  else if (mode === 'plain') {
    if (role === 'coordinator') {
      const log = await runPlainCoordinator(folder, keys);
      tellLeaves(log, (hash) => log.firstSeen(hash), countHeads(log));
    } else if (role === 'aggregator') await runPlainAggregator(folder, aggregatorState, keys);
    else if (role === 'recipient') await runPlainRecipient(folder, keys, opened);
    else if (trained === null) await runPlainNode(folder, keys, (round) => updateOf(name, round, task.dimension));
    else await runPlainNode(folder, keys, (round) => keep(round, trained.plain(round)));
  } else if (role === 'member') await runMember(folder);
  else if (role === 'aggregator') await runAggregator(folder, aggregatorState);
  else if (role === 'coordinator') {
    const { keeper } = await runCoordinator(folder);
    for (const leaf of enrolments) await keeper.append(leaf);
    tellLeaves(keeper, (hash) => keeper.firstSeen(hash), countHeads(keeper));
  } else if (role === 'recipient') {
    const maker = {
      first: async () => new Uint8Array([1]),
      next: async (_t: Task, sums: readonly OpenedRound[]) => {
        const { round, values } = sums[0]!;
        opened(round.record.number, values);
        return new Uint8Array([1 + (round.record.number % 250)]);
      },
    };
    const training = (store: Party['store']): ModelMaker => {
      const { first, next } = createModelMaker({ store });
      const told: ModelMaker['next'] = (of, sums, model) => {
        opened(sums[0]!.round.record.number, sums[0]!.values);
        const lap = stopwatch(tellPart);
        lap(null);
        return next(of, sums, model).finally(() => lap('next'));
      };
      return { first, next: told };
    };
    await runRecipient(folder, async ({ store }) => {
      return { tasks: [task], engine: 'auto', maker: task.learning === null ? maker : training(store) };
    });
  } else {
    const policy = sitePolicyField.parse({
      genesis: order.genesisHash,
      tasks: [task.task],
      recipients: [...task.recipients],
      minCohort: task.minCohort,
      minOrganisations: task.minOrganisations,
      minHonest: task.minHonest,
      largestSharePercent: 50,
      budgetRhoNano: Number.MAX_SAFE_INTEGER,
      allowCheckSums: false,
    });
    const source: UpdateSource = {
      update: async (of, round, model) => {
        const { number } = round.record;
        if (trained === null) return updateOf(name, number, task.dimension);
        return keep(number, (await trained.sealed(of, round, model))!);
      },
    };
    await runNode(folder, async () => ({ policy, tasks: [task], engine: 'auto', source, checkSums: () => {} }));
  }
}

if (process.send !== undefined && process.argv[2] !== undefined) {
  collectBuffersWithHeap(); // as src/main.ts does
  process.on('message', (order: string) => {
    if (order === 'cpu') tell({ news: 'cpu', ms: cpuMs() });
    if (order === 'exit') process.exit(0); // also writes a profile, under --cpu-prof
  });
  process.on('disconnect', () => process.exit(1)); // the bench is gone
  await run(JSON.parse(readFileSync(process.argv[2], 'utf8')) as PartyOrder);
  tell({ news: 'listening' });
}
