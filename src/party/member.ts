import { boxesKey } from '../../protocols/disputes.ts';
import { type Answer, type MemberDuty, makeAnswer, memberDuties } from '../../protocols/member.ts';
import type { Decision, Round } from '../../protocols/transcript.ts';
import { QuorumService } from '../grpc/services.ts';
import { DEFAULT_BUDGET } from '../matching/holder.ts';
import { firstPossible } from './duty-loop.ts';
import { askReplicas, REPLICA_MS } from './fetch.ts';
import { logRoundKey, openCohort, type Seeds, wipeSeeds } from './holder.ts';
import type { LogReader } from './log-reader.ts';
import { matching } from './matching.ts';
import { decodeParts, encodeParts } from './parts.ts';
import { openParty, type Party, primitives, rng, runDuties } from './party.ts';
import type { Running } from './running.ts';
import { witnessing } from './witnessing.ts';

const ANSWERS = 'answers';

/** The answer is made once, kept, and only then sent: every retry sends the same bytes. */
async function answer(
  party: Party,
  log: LogReader,
  round: Round,
  decision: Decision,
  opened: Seeds | null,
): Promise<void> {
  const { records } = party.store;
  let kept = await records.get(ANSWERS, decision.hash);
  if (kept === undefined) {
    if (decision.answers.has(party.name)) {
      party.say('answered before', {
        round: round.record.number,
        why: 'this is an older copy of the member: the log has its answer',
      });
      return;
    }
    const seeds = opened ?? (await openCohort(party, round, decision.attempt));
    if (seeds === null) return;
    const made: Answer = makeAnswer(primitives, rng, log.transcript, round, decision, party.name, seeds);
    wipeSeeds(seeds);
    kept = encodeParts([party.leaf('answer', made.body), ...made.sealed.map((box) => box.sealed)]);
    await records.transact((tx) => tx.insert(ANSWERS, decision.hash, kept!));
  }
  const [leaf, ...sealed] = decodeParts(kept);
  // The log first: nobody is given an answer that it does not show.
  await party.append(leaf!);
  const boxes = sealed.map((bytes, i) => ({ recipient: round.record.recipients[i]!.name, sealed: bytes }));
  await askReplicas(party.aggregators, (r) =>
    r.callOnce(QuorumService.putAnswer, { leaf: leaf!, sealed: boxes }, REPLICA_MS),
  );
}

/**
 * Runs a quorum member: round keys, boxes, ready, answers; it witnesses the log, and holds a part of the matching key.
 *
 * @param matchingBudget - names per organisation that it evaluates under its matching key; 0 for none.
 */
export async function runMember(folder: string, listen?: string, matchingBudget = DEFAULT_BUDGET): Promise<Running> {
  const party = await openParty(folder, undefined, listen);
  // Seeds of the attempt that this process found ready, so that answering does not fetch and open the boxes again.
  const opened = new Map<string, Seeds>();
  const done = new Set<string>();
  const act = async (log: LogReader): Promise<boolean> => {
    const keeps = (announce: string): boolean => party.rounds.holds(announce);
    // An answer that is in the log may not have reached an aggregator before a crash: it is sent again, once.
    const duties = memberDuties(log.transcript, party.name, keeps, () => false).filter(
      (duty) => !done.has(dutyKey(duty, party.name)),
    );
    return firstPossible(duties, (duty) => perform(log, duty));
  };
  const perform = async (log: LogReader, duty: MemberDuty): Promise<void> => {
    if (duty.duty === 'round-key') await logRoundKey(party, duty.announce.hash);
    else if (duty.duty === 'check-boxes') {
      const seeds = await openCohort(party, duty.round, duty.attempt);
      if (seeds !== null) {
        opened.set(duty.attempt.close, seeds);
        await party.append(party.leaf('ready', { close: duty.attempt.close }));
      }
    } else if (duty.duty === 'answer') {
      const { close } = duty.decision.attempt;
      await answer(party, log, duty.round, duty.decision, opened.get(close) ?? null);
      opened.delete(close);
    } else {
      party.rounds.forget(duty.announce.hash);
      for (const { close } of log.transcript.rounds.get(duty.announce.openedAs ?? '')?.attempts ?? []) {
        wipeSeeds(opened.get(close) ?? new Map());
        opened.delete(close);
      }
      party.say('round key wiped', { announce: duty.announce.hash });
    }
    done.add(dutyKey(duty, party.name)); // its leaf is in the log, but not yet in a cosigned head
  };
  const { address, stop } = await runDuties(party, [witnessing(party), matching(party, matchingBudget)], act);
  return { address, stop };
}

function dutyKey(duty: MemberDuty, name: string): string {
  if (duty.duty === 'round-key' || duty.duty === 'forget') return `${duty.duty} ${duty.announce.hash}`;
  if (duty.duty === 'answer') return `answer ${duty.decision.hash}`;
  return boxesKey(duty.attempt, name);
}
