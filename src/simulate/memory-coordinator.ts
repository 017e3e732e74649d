import { concat } from '../../crypto/encoding.ts';
import { createSum } from '../../crypto/payload.ts';
import { addCorrections } from '../../protocols/aggregator.ts';
import { coordinatorDuties, type Patience } from '../../protocols/coordinator.ts';
import { cohortHashOf } from '../../protocols/rules-round.ts';
import { recordOf, type Task } from '../../protocols/task.ts';
import type { Round } from '../../protocols/transcript.ts';
import { type MemoryWorld, splitBlocks, TASK } from './memory-world.ts';

/** The task of a round; each has a window of its own unless told, so that rounds over one model can be run at will. */
function taskOf(world: MemoryWorld, number: number): Task {
  const { request, sigma2, sigma2Denominator = 1n, sensitivity2, sampling, window, buckets, oneShot } = world.setting;
  const clipped = world.setting.clipped ?? { clipMicro: 1_000_000, scale: 10 };
  return {
    version: 1,
    task: TASK,
    // The buckets of a group are rounds over one window.
    window: window ?? (buckets === undefined ? `round-${number}` : 'in buckets'),
    unit: 'record',
    recipients: ['recipient'],
    ...request,
    minOrganisations: 1,
    ...(buckets === undefined ? {} : { buckets }),
    noise: { sigma2Numerator: String(sigma2), sigma2Denominator: String(sigma2Denominator) },
    ...(oneShot === undefined ? {} : { oneShot }),
    sensitivity2: String(sensitivity2),
    ...(sampling === undefined ? {} : { sampling }),
    ...clipped,
    maxAttempts: 4,
    maxLeaves: 10_000,
    uploadMs: 1000,
    confirmMs: 1000,
    checkSums: false,
    learning: null,
  };
}

/** Does the coordinator's next duty, with an aggregator's help. @returns whether anything was done. */
export function actCoordinator(world: MemoryWorld): boolean {
  const patience: Patience = {
    now: world.clock,
    since: (hash) => world.seenAt.get(hash) ?? 0,
    roundKeyMs: 500,
    announceMs: 10_000,
    readyMs: 500,
    holderMs: 3000,
    answerMs: 5000,
  };
  const [duty] = coordinatorDuties(world.log.transcript, patience);
  if (duty === undefined) return false;
  if (duty.duty === 'open') {
    const { announce, members } = duty;
    const t = world.log.transcript;
    const task = taskOf(world, announce.number);
    const record = recordOf(world.setting.primitives, t, task, announce, members, t.models.at(-1)!);
    return world.post('coordinator', 'open', { record }) !== null;
  }
  if (duty.duty === 'withdraw')
    return world.post('coordinator', 'abort', { round: duty.announce.hash, reason: 'ROUND_KEY_MISSING' }) !== null;
  if (duty.duty === 'abort')
    return world.post('coordinator', 'abort', { round: duty.round.id, reason: duty.reason }) !== null;
  if (duty.duty === 'close') {
    const { round, attempt, cohort } = duty;
    const sumHash = sumPayloads(
      world,
      round,
      cohort.map((upload) => upload.body.payloadHash),
    );
    const uploads = cohort.map((upload) => upload.index);
    return (
      world.post('coordinator', 'close', {
        round: round.id,
        attempt,
        uploads,
        cohortHash: cohortHashOf(world.setting.primitives, cohort),
        sumHash,
      }) !== null
    );
  }
  const { attempt, record, id } = duty.round;
  const confirms = attempt.cohort.map((upload) => attempt.confirms.get(upload.node)!);
  const corrections = confirms.map((confirm) => world.blobs.get(confirm.body.correctionHash)!);
  return (
    world.post('coordinator', 'decide', {
      round: id,
      attempt: attempt.number,
      close: attempt.close,
      confirms: confirms.map((confirm) => confirm.index),
      sumHash: attempt.sumHash,
      correctionSumHash: world.put(addCorrections(record, corrections)),
      rhoNano: record.charge.rhoNano,
    }) !== null
  );
}

function sumPayloads(world: MemoryWorld, round: Round, payloads: readonly string[]): string {
  const context = world.context(round.record, 'aggregator');
  using sum = createSum(context);
  for (const hash of payloads) {
    for (const [block, wire] of splitBlocks(context, world.blobs.get(hash)!)) sum.add(block, wire);
  }
  const blocks = Array.from({ length: context.parameters.blocks }, (_, block) => sum.block(block));
  return world.put(world.tamper('sum', 'aggregator', concat(...blocks)));
}
