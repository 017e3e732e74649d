/** Fewest nodes and organisations in a sum, and honest nodes whose noise alone has to suffice. */
export interface TaskMinimums {
  readonly minCohort: number;
  readonly minOrganisations: number;
  readonly minHonest: number;
}

/** What a federation is founded with unless it is told otherwise: no sum of fewer is ever opened in it. */
export const FOUNDING_MINIMUMS: TaskMinimums = { minCohort: 3, minOrganisations: 2, minHonest: 2 };

/**
 * What a task asks for unless it is told otherwise: one node may drop out, and one of the others may have added no noise.
 *
 * Law: from three nodes on never below FOUNDING_MINIMUMS, so that defaults of task and federation go together.
 */
export function minimumsFor(nodes: number, given: Partial<TaskMinimums> = {}): TaskMinimums {
  const cohort = Math.min(Math.max(2, nodes), Math.max(FOUNDING_MINIMUMS.minCohort, nodes - 1));
  const minCohort = given.minCohort ?? cohort;
  const minHonest = given.minHonest ?? Math.max(FOUNDING_MINIMUMS.minHonest, minCohort - 1);
  return { minCohort, minHonest, minOrganisations: given.minOrganisations ?? minCohort };
}
