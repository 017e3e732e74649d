import { beforeAll, describe, expect, it } from 'vitest';
import { addSignatures, cosign, openCheckpoint, signCheckpoint } from '../../crypto/checkpoint.ts';
import { consistencyProof } from '../../crypto/merkle.ts';
import { makeSigner } from '../../crypto/note.ts';
import { flatPolicy, type Policy } from '../../crypto/policy.ts';
import { isRejection } from '../../protocols/errors.ts';
import { policyOf, witnessKeyName } from '../../protocols/log-policy.ts';
import { memberDuties } from '../../protocols/member.ts';
import { advance, newReader } from '../../protocols/reader.ts';
import { checkHead } from '../../protocols/witness.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { contextOf, kernelOf, parametersOf, valuesOf } from '../reference/engines.ts';
import { ORIGIN, PaperLog, p } from '../reference/paper-log.ts';
import { QuorumLab, subtract } from '../reference/quorum-lab.ts';

/**
 * A log that decides two attempts of one round, in two forks: everybody in the first, all but node-4 in the second. The
 * coordinator, t-1 members and so t-1 witness keys are corrupt; honest witnesses cosign one fork or the other.
 */

const QUORUM = { members: 5, threshold: 3, nodes: 4 };
const WITNESSES = ['member-1', 'member-2', 'member-3', 'member-4', 'member-5', 'witness-1', 'witness-2'];
const CORRUPT = WITNESSES.slice(0, 2);
const HONEST = WITNESSES.slice(2);

/** Up to where the forks part: every node but the last has confirmed the first attempt. */
function trunk(): PaperLog {
  const log = PaperLog.founded(QUORUM).until('close');
  for (const node of ['node-1', 'node-2', 'node-3']) log.post(node, 'confirm', log.confirm(node));
  return log;
}

function decideNow(log: PaperLog): PaperLog {
  for (const holder of log.holders) log.post(holder, 'ready', { close: log.attempt.close });
  log.post('coordinator', 'decide', log.decide());
  return log;
}

/** The first decision, over all four. */
function fork1(): PaperLog {
  const log = trunk();
  log.post('node-4', 'confirm', log.confirm('node-4'));
  return decideNow(log);
}

/** A second one, over three. */
function fork2(): PaperLog {
  const log = trunk();
  log.post('coordinator', 'close', log.close());
  for (const node of ['node-1', 'node-2', 'node-3']) log.post(node, 'confirm', log.confirm(node));
  return decideNow(log);
}

function noteOf(log: PaperLog, by: readonly string[]): Uint8Array {
  const head = { origin: ORIGIN, size: log.leaves.length, root: log.tree().root() };
  const note = signCheckpoint(p, makeSigner(p, 'ed25519', ORIGIN, log.seed('log')), head);
  const signer = (name: string) =>
    makeSigner(p, 'cosignature', witnessKeyName(ORIGIN, name), log.seed(`${name} witness`));
  return addSignatures(
    note,
    by.map((name) => cosign(p, signer(name), note, 1_700_000_000)),
  );
}

/** In how many of the ways to split the honest witnesses over the forks both forks have their cosignatures. */
function splitsThatFool(policy: Policy, logs: readonly [PaperLog, PaperLog]): number {
  let fooled = 0;
  for (let split = 0; split < 2 ** HONEST.length; split++) {
    const side = (which: number) => [...CORRUPT, ...HONEST.filter((_, i) => ((split >> i) & 1) === which)];
    const both = logs.every((log, which) => openCheckpoint(p, noteOf(log, side(which)), policy).quorum);
    fooled += Number(both);
  }
  return fooled;
}

let logs: readonly [PaperLog, PaperLog];
let policy: Policy;
/** The same keys with a bare majority of witnesses. */
let bareMajority: Policy;

beforeAll(() => {
  logs = [fork1(), fork2()];
  policy = policyOf(p, logs[0].genesis());
  const { logs: keys, witnesses } = policy;
  bareMajority = flatPolicy(p, keys, witnesses, Math.floor(WITNESSES.length / 2) + 1);
});

describe('P5: one sum per round, ever', () => {
  it('no split of the honest witnesses shows two first decisions: 2w > W + f', () => {
    const { needed, witnesses, faulty } = logs[0].genesis().cosigning;
    expect([needed, witnesses, faulty]).toEqual([5, 7, 2]);
    expect(splitsThatFool(policy, logs)).toBe(0);
    // Control: a bare majority of 4 is reached on both sides at once.
    expect(splitsThatFool(bareMajority, logs)).toBeGreaterThan(0);
  });

  it('an honest witness and a member that saw one fork refuse the other, which is evidence', () => {
    const [one, two] = logs;
    const seen = { size: trunk().leaves.length, root: trunk().tree().root() };
    const ask = (log: PaperLog, from: { size: number; root: Uint8Array }) => {
      const proof = consistencyProof(p, log.tree().read, from.size, log.leaves.length);
      return checkHead(p, policy, from, { oldSize: from.size, proof, note: noteOf(log, []) });
    };
    const after = ask(one, seen);
    if (isRejection(after)) throw new Error(after.why);
    expect(isRejection(ask(two, seen))).toBe(false); // control: either is a fine next head
    expect(ask(two, after)).toMatchObject({ rejected: 'SPLIT_VIEW' });
    const reader = advance(p, newReader(p, policy), one.leaves, noteOf(one, WITNESSES));
    if (isRejection(reader)) throw new Error(reader.why);
    const rest = two.leaves.slice(reader.transcript.size);
    expect(advance(p, reader, rest, noteOf(two, WITNESSES))).toMatchObject({ rejected: 'SPLIT_VIEW' });
    // With too few cosignatures it is not even looked at; nor is the decision under them.
    expect(
      advance(p, newReader(p, policy), two.leaves, noteOf(two, [...CORRUPT, ...HONEST.slice(2, 4)])),
    ).toMatchObject({
      rejected: 'NOT_COSIGNED',
    });
  });

  it('one log holds one decision: other set, other attempt, other round of the window are refused, also once answered', () => {
    const log = fork1();
    const decided = log.decide();
    const answers = () =>
      log.members.map(
        (name) => memberDuties(log.transcript, name, () => true).filter((d) => d.duty === 'answer').length,
      );
    expect(answers()).toEqual([1, 1, 1, 1, 1]);
    expect(log.offer(log.leaf('coordinator', 'decide', decided))).toBe('ALREADY_DECIDED');
    expect(log.offer(log.leaf('coordinator', 'decide', { ...decided, attempt: 2 }))).toBe('ALREADY_DECIDED');
    const smaller = { ...log.close(), attempt: 2 };
    expect(log.offer(log.leaf('coordinator', 'close', smaller))).toBe('ALREADY_DECIDED');
    expect(log.offer(log.leaf('coordinator', 'open', { record: log.round.record }))).toBe('ROUND_EXISTS');
    const again = log.record(log.announced(2));
    expect(log.offer(log.leaf('coordinator', 'open', { record: again }))).toBe('WINDOW_DECIDED');
    expect(answers()).toEqual([1, 1, 1, 1, 1]); // none of it gave a member anything else to do
    log.post('member-3', 'answer', log.answer('member-3'));
    // A member restored from an old backup catches up with the log first: its own answer is a leaf.
    expect(answers()).toEqual([1, 1, 0, 1, 1]);
    expect(log.offer(log.leaf('member-3', 'answer', log.answer('member-3', 'another')))).toBe('DUPLICATE_ANSWER');
    // Control: another window is another sum.
    const other = log.record(log.announced(3), { window: '2027-Q1' });
    expect(log.offer(log.leaf('coordinator', 'open', { record: other }))).toBe('counted');
  });

  it('control: members that answer both forks give away what the missing node sent', async () => {
    const parameters = parametersOf({ dimension: 300, members: 5, threshold: 3 });
    const lab = new QuorumLab(contextOf(parameters, await kernelOf(parameters)), systemRng);
    const nodes = ['node-1', 'node-2', 'node-3', 'node-4'];
    for (const node of nodes) lab.upload(node, valuesOf(node, 300, 16));
    const rest = nodes.slice(0, 3);
    const first = nodes.map((node) => lab.confirm(node, nodes, logs[0].attempt.close));
    const second = rest.map((node) => lab.confirm(node, rest, logs[1].attempt.close));
    // Members 1 and 2 are corrupt and answer anything; 3 answers in the first fork, 4 in the second.
    const key = (of: typeof first, honest: number) => lab.unmask(of, [0, 1, honest, lab.recipient]);
    const missing = subtract(key(first, 2), key(second, 3));
    expect(lab.open(missing, lab.uploads.get('node-4')!.payload)).toEqual(valuesOf('node-4', 300, 16));
    // One honest answer for both forks is what the witnesses leave them: the other fork stays shut.
    expect(lab.open(lab.unmask(second, [0, 1, lab.recipient]), lab.sum(rest))).toBeNull();
  });
});
