import { ProtocolError } from '../../protocols/errors.ts';
import type { Round } from '../../protocols/transcript.ts';
import { actCoordinator } from './memory-coordinator.ts';
import { MemoryHolders } from './memory-holders.ts';
import { MemoryNodes } from './memory-nodes.ts';
import { MemoryWorld, TASK } from './memory-world.ts';

export type { MemorySetting, Vanish } from './memory-world.ts';

/**
 * All parties of a federation in one process over an in-memory wire: the same rules, duties and cryptography as in
 * production, without sockets and disks. Deterministic as far as its `rng` and primitives are.
 */
export class MemoryFederation extends MemoryWorld {
  readonly #nodes = new MemoryNodes(this);
  readonly #holders = new MemoryHolders(this);

  /**
   * Runs one round to its end: every party does its duties; when nobody has one, time passes.
   *
   * @param updates - d integers per node.
   * @returns the round as the log has it.
   */
  runRound(number: number, updates: ReadonlyMap<string, Int32Array>): Round {
    return this.#run([number], updates)[0]!;
  }

  /**
   * Runs a round in buckets, all at the same time.
   *
   * @param first - number of the first bucket's round; the others follow.
   * @returns the rounds by bucket, each released or aborted.
   */
  runBuckets(first: number, updates: ReadonlyMap<string, Int32Array>): Round[] {
    const rounds = this.#run(
      Array.from({ length: this.setting.buckets ?? 1 }, (_, i) => first + i),
      updates,
    );
    return rounds.sort((a, b) => (a.record.bucket?.index ?? 0) - (b.record.bucket?.index ?? 0));
  }

  #run(numbers: readonly number[], updates: ReadonlyMap<string, Int32Array>): Round[] {
    const announced = numbers.map((number) => {
      const hash = this.post('coordinator', 'announce', { task: TASK, number, recipients: ['recipient'] });
      if (hash === null) throw new ProtocolError('UNKNOWN_ANNOUNCE', 'the round could not be announced');
      return hash;
    });
    const members = Array.from({ length: this.setting.members }, (_, i) => `member-${i + 1}`);
    for (let idle = 0; idle < 80; ) {
      let acted = actCoordinator(this);
      for (const name of this.nodeNames) acted = this.#nodes.act(name, updates) || acted;
      for (const name of members) acted = this.#holders.actMember(name) || acted;
      if (!acted) acted = this.#holders.actRecipient('recipient');
      if (acted) idle = 0;
      else {
        this.clock += 250;
        idle++;
      }
      const { rounds, announces } = this.log.transcript;
      const ended = announced
        .map((hash) => rounds.get(announces.get(hash)?.openedAs ?? ''))
        .filter((round) => round?.phase === 'released' || round?.phase === 'aborted');
      if (!acted && ended.length === announced.length) return ended as Round[];
    }
    throw new ProtocolError('ROUND_RUNNING', 'the round did not end');
  }

  /** Publishes the next model after a released round; after a round in buckets: the first released one. */
  nextModel(round: Round): void {
    if (round.phase !== 'released') throw new ProtocolError('NOT_RELEASED', 'the round has no result');
    this.publishModel(this.setting.rng(64), round.decision.hash);
  }

  /** Secrets of ended rounds that are still held: none, after a run. */
  get heldSecrets(): number {
    return this.#nodes.held + this.#holders.held;
  }
}
