import { territoriesOf } from './seller-view.ts';
import { type Summaries, type SummaryRequest, summarise } from './summaries.ts';
import type { Seller } from './tokens.ts';

/** The summaries of a server that runs, while readers come and go. */
export interface CurrentSummaries {
  readonly now: Summaries;
  /**
   * Takes in who may read. A new set of territories means other known rows: what is shown is chosen anew, for every set
   * seen since the start, for who is gone has not forgotten. Where that cannot be done, nothing is shown any more.
   *
   * @throws ScoringError TOO_MANY_GROUPS
   */
  meet(sellers: readonly Pick<Seller, 'territories'>[]): void;
}

/** @throws ScoringError, LearningError as `summarise` */
export function currentSummaries(
  request: Omit<SummaryRequest, 'readers'>,
  sellers: readonly Pick<Seller, 'territories'>[],
): CurrentSummaries {
  const { scores, least } = request;
  const readers = new Map<string, ReadonlySet<string>>();
  let now: Summaries = { least, total: null, summaries: [] };
  const meet = (met: readonly Pick<Seller, 'territories'>[]): void => {
    const before = readers.size;
    for (const seller of met) {
      const territories = territoriesOf(scores, seller);
      readers.set(JSON.stringify([...territories]), territories);
    }
    if (readers.size === before) return;
    now = { least, total: null, summaries: [] };
    now = summarise({ ...request, readers: [...readers.values()] });
  };
  // Whoever reads one whole territory, whether or not somebody does today; and everybody with a token.
  meet([...[...scores.territories.keys()].map((territory) => ({ territories: [territory] })), ...sellers]);
  return {
    get now() {
      return now;
    },
    meet,
  };
}
