import { createHash } from 'node:crypto';
import type { SitePolicy } from '../../protocols/site-policy.ts';
import type { Task } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import type { CardRole } from '../../src/keys/card.ts';
import { runAggregator } from '../../src/party/aggregator.ts';
import { type CoordinatorOptions, runCoordinator } from '../../src/party/coordinator.ts';
import type { Trained } from '../../src/party/finished-updates.ts';
import { runMember } from '../../src/party/member.ts';
import { runNode } from '../../src/party/node.ts';
import { type OpenedRound, runRecipient } from '../../src/party/recipient.ts';
import type { Running } from '../../src/party/running.ts';
import { runWitness } from '../../src/party/witness.ts';

/** Everything a lab's party needs to run, here or in a process of its own: plain JSON. */
export interface PartySetting {
  readonly name: string;
  readonly role: CardRole;
  readonly folder: string;
  /** Where the aggregators' one store lies. */
  readonly stateFolder: string;
  readonly tasks: readonly Task[];
  readonly policy: SitePolicy;
  readonly coordinator?: Pick<
    CoordinatorOptions,
    'roundKeyMs' | 'announceMs' | 'readyMs' | 'holderMs' | 'answerMs' | 'http'
  >;
}

/** What a node of the lab contributes to a round: public, fixed, and different for each (node, round). */
export function updateOf(name: string, number: number, dimension: number): Int32Array {
  const seed = createHash('sha256').update(`${name} ${number}`).digest().readUInt16LE(0);
  return Int32Array.from({ length: dimension }, (_, i) => ((seed * (i + 1)) % 20_011) - 10_000);
}

/** The same at a weight, in rounds without masks. */
export function weightedUpdateOf(name: string, number: number, dimension: number, weight: number): Int32Array {
  return updateOf(name, number, dimension).map((value) => Math.round(value * weight));
}

/** What such a node has to send once it is done training. */
export function trainedOf(name: string): Trained {
  return {
    integers: ({ record }, weight) => weightedUpdateOf(name, record.number, record.parameters.dimension, weight),
    [Symbol.dispose]: () => {},
  };
}

/** The plain sum of what some nodes contribute. */
export function plainSum(names: readonly string[], number: number, dimension: number): Int32Array {
  const updates = names.map((name) => updateOf(name, number, dimension));
  return Int32Array.from({ length: dimension }, (_, i) => updates.reduce((sum, update) => sum + update[i]!, 0));
}

export function runParty(setting: PartySetting): Promise<Running> {
  const { name, role, folder, tasks, policy } = setting;
  switch (role) {
    case 'coordinator':
      return runCoordinator(folder, { readyMs: 1500, ...setting.coordinator });
    case 'aggregator':
      return runAggregator(folder, setting.stateFolder);
    case 'member':
      return runMember(folder);
    case 'witness':
      return runWitness(folder);
    case 'node': {
      const source = {
        update: async (task: Task, round: Round) => updateOf(name, round.record.number, task.dimension),
        train: async () => trainedOf(name),
      };
      return runNode(folder, async () => ({ policy, tasks, engine: 'auto', source, checkSums: () => {} }));
    }
    case 'recipient': {
      const maker = {
        first: async () => new Uint8Array([1]),
        next: async (_task: Task, [sum]: readonly OpenedRound[]) => new Uint8Array([1 + sum!.round.record.number]),
      };
      return runRecipient(folder, async () => ({ tasks, engine: 'auto', maker, lateAnswersMs: 3000 }));
    }
    default:
      return role satisfies never;
  }
}
