import { bytesEqual, canonicalBytes, type Json } from '../../../crypto/encoding.ts';
import { deriveParameters } from '../../../crypto/params.ts';
import { chargeOfTask, type Task, taskHashOf } from '../../../protocols/task.ts';
import { parseTask } from '../../../src/party/round-desk.ts';
import { nodePrimitives as p } from '../../../src/platform/primitives-node.ts';
import { isStatistics, statisticsPlanOf } from '../../../src/statistics/plan.ts';
import { parseLearningPlan } from '../../../src/training/learning-plan.ts';
import { BASE_TASK } from '../../reference/base-task.ts';
import { law, type Target } from '../target.ts';

function taskSample(): Task {
  return {
    ...BASE_TASK,
    learning: {
      version: 1,
      unit: 'record',
      schema: { name: 'leads', hash: '0'.repeat(64) },
      model: { kind: 'logistic', inputs: 299 },
      server: { learningRateMicro: 1_000_000, momentumMicro: 0, weightDecayMicro: 0 },
      countShareMicro: 100_000,
      bins: null,
      recordsMax: 1000,
    },
  };
}

function statisticsSample(): Task {
  const columns = [
    { kind: 'number', column: 'seats', candidates: 32, most: 1 },
    { kind: 'text', column: 'said', candidates: 64, most: 8 },
  ];
  const hash = '0'.repeat(64);
  return {
    ...BASE_TASK,
    dimension: 1 + 3 + 2,
    learning: {
      ...{ version: 1, kind: 'statistics', unit: 'record', step: 'figures', recordsMax: 1000, columns },
      schema: { name: 'leads', hash },
      presence: { taskHash: hash, roundId: hash, resultHash: hash },
      kept: [[3, 9], [1]],
    },
  };
}

export const tasks: readonly Target[] = [
  {
    name: 'task',
    reads: 'task files, their charge, parameters and learning plan',
    slowdown: 2,
    form: 'json',
    seeds: () => [taskSample(), statisticsSample()].map((task) => canonicalBytes(task as unknown as Json)),
    refusals: {
      ProtocolError: ['MALFORMED'],
      AccountingError: ['BAD_RELEASE'],
      CryptoError: ['OUT_OF_RANGE', 'UNSAFE_PARAMETERS'],
      TrainingError: ['BAD_PLAN'],
      LearningError: ['BAD_SETTING'],
    },
    run(input) {
      const task = parseTask(input);
      law(bytesEqual(canonicalBytes(task as unknown as Json), input), 'what is accepted re-encodes equal');
      taskHashOf(p, task);
      chargeOfTask(task);
      deriveParameters({ ...task, members: 3, threshold: 2 });
      if (isStatistics(task)) statisticsPlanOf(task);
      else if (task.learning !== null) parseLearningPlan(task);
      return true;
    },
  },
];
