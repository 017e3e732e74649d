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
    const announced = this.post('coordinator', 'announce', { task: TASK, number, recipients: ['recipient'] });
    if (announced === null) throw new ProtocolError('UNKNOWN_ANNOUNCE', 'the round could not be announced');
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
      const round = this.log.transcript.rounds.get(this.log.transcript.announces.get(announced)?.openedAs ?? '');
      if (!acted && round !== undefined && (round.phase === 'released' || round.phase === 'aborted')) return round;
    }
    throw new ProtocolError('ROUND_RUNNING', 'the round did not end');
  }

  /** Publishes the next model after a released round. */
  nextModel(round: Round): void {
    if (round.phase !== 'released') throw new ProtocolError('NOT_RELEASED', 'the round has no result');
    this.publishModel(this.setting.rng(64), round.decision.hash);
  }

  /** Secrets of ended rounds that are still held: none, after a run. */
  get heldSecrets(): number {
    return this.#nodes.held + this.#holders.held;
  }
}
