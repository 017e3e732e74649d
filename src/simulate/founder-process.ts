import { toBase64 } from '../../crypto/encoding.ts';
import type { Body } from '../../protocols/leaves.ts';
import { checkChange, type QuorumChange } from '../../protocols/rules-membership.ts';
import { findParty } from '../../protocols/transcript.ts';
import type { Change } from './changes.ts';
import { asFailure, REPLICA_MS, type Services, type Task } from './process.ts';
import { ReaderProcess, type Setting } from './reader-process.ts';

type Approval = Body<'quorum'>['approvals'][number];

/**
 * The founders, who hold the root key: they revoke parties, and change the quorum when its members have approved. Mirrors
 * src/cli/quorum-change.ts and revoke.ts, whose steps people take. Some of them first try to do without the members.
 */
export class FounderProcess extends ReaderProcess {
  readonly services: Services = {};
  readonly #changes: readonly Change[];
  /** Changes that were made, or that can never be. */
  #ended = new Set<Change>();
  /** How each was forced so far: while rounds ran, and when nothing but approvals was missing. */
  readonly #forced = new Set<string>();

  constructor(setting: Setting, changes: readonly Change[]) {
    super(setting, 'root');
    this.#changes = changes;
  }

  get isDone(): boolean {
    return this.#ended.size === this.#changes.length;
  }

  protected *act(): Task<boolean> {
    const due = this.#changes.filter((change) => !this.#ended.has(change) && change.atMs <= this.world.clock);
    return yield* this.firstPossible(due, (change) => this.#make(change));
  }

  *#make(change: Change): Task {
    if (change.what === 'revoke') {
      if (findParty(this.t, change.name)?.revoked === false)
        yield* this.append(this.leaf('revoke', { name: change.name, reason: 'left' }));
      this.#end(change);
      return;
    }
    const { number, members, threshold } = this.t.quorum;
    const wanted = members.filter((name) => name !== change.leaves);
    if (change.joins !== null && !wanted.includes(change.joins)) wanted.push(change.joins);
    if (wanted.join() === members.join()) return this.#end(change); // it was made before a crash
    const proposal: QuorumChange = { number: number + 1, members: wanted, threshold };
    const problem = checkChange(this.t, proposal);
    // Rounds end; a revocation or a size that does not fit stays.
    if (problem !== null && problem.rejected !== 'ROUND_RUNNING') return this.#end(change);
    const how = `${number} ${problem?.rejected}`;
    if (change.isForced && !this.#forced.has(how)) {
      this.#forced.add(how);
      yield* this.#force(proposal, this.t.quorum);
    }
    if (problem !== null) return yield* this.sleep(500);
    const approvals = yield* this.#approvals(proposal, members, threshold);
    if (approvals.length < threshold) return yield* this.sleep(500);
    yield* this.append(this.leaf('quorum', { ...proposal, approvals }));
    this.#end(change);
  }

  #end(change: Change): void {
    this.say(`is done with: ${change.what}`);
    this.#ended.add(change);
  }

  /** Those of as many members as it takes. */
  *#approvals(proposal: QuorumChange, members: readonly string[], threshold: number): Task<Approval[]> {
    const approvals: Approval[] = [];
    for (const member of members) {
      if (approvals.length === threshold) break;
      try {
        const signature = yield* this.call(member, 'approve', proposal, REPLICA_MS);
        approvals.push({ member, signature });
      } catch (error) {
        asFailure(error); // one that is down, or does not agree
      }
    }
    return approvals;
  }

  /** What the root key could try alone, or with fewer members than it takes: no honest log has it. */
  *#force(proposal: QuorumChange, { members, threshold }: { members: readonly string[]; threshold: number }): Task {
    const approvals = yield* this.#approvals(proposal, members, threshold);
    const fewer = approvals.slice(0, threshold - 1);
    const silent = members.filter((name) => !approvals.some(({ member }) => member === name));
    const forged = silent.slice(0, 1).map((member) => ({ member, signature: toBase64(this.founding.rng(64)) }));
    for (const attempt of [fewer, [...fewer, ...forged], [...fewer, ...fewer.slice(0, 1)], approvals]) {
      try {
        yield* this.append(this.leaf('quorum', { ...proposal, approvals: attempt }));
      } catch (error) {
        asFailure(error);
      }
    }
  }
}
