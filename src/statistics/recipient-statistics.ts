import type { ModelMaker } from '../party/recipient.ts';
import { noModel, trainingModel } from './no-model.ts';
import { isStatistics, statisticsPlanOf } from './plan.ts';
import { statisticsQuantiser } from './quantiser.ts';

/**
 * Models of a log in which some rounds only count: those leave the model as it is, and training that finds none begins with
 * its task's first one.
 */
export function besideStatistics(training: ModelMaker): ModelMaker {
  return {
    first: async (task) => {
      const plan = statisticsPlanOf(task);
      if (plan === null) return training.first(task);
      statisticsQuantiser(task, plan);
      return noModel();
    },
    next: async (task, sums, model) =>
      isStatistics(task) ? model : training.next(task, sums, trainingModel(task, model)),
  };
}
