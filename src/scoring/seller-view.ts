import type { EvidenceAnswer, OrganisationAnswer, OrganisationsAnswer } from './api-types.ts';
import { type CalibrationBand, calibrationText } from './calibration.ts';
import { tellingSignals } from './ranking.ts';
import type { Organisation, Scores } from './scores.ts';
import { EVERY_TERRITORY, type Seller } from './tokens.ts';

/** Signals in a row of the ranking. */
const ROW_SIGNALS = 3;

export interface PageRequest {
  readonly search: string;
  /** Null: every territory that may be read. */
  readonly territory: string | null;
  /** 1 first. */
  readonly page: number;
  readonly size: number;
}

interface Ranked {
  readonly rank: number;
  readonly organisation: Organisation;
  /** What a search looks in. */
  readonly key: string;
}

/**
 * The ranking as one set of territories shows it. Ranks count what may be read only: a place in a longer list would
 * tell how others' organisations do.
 */
export class SellerView {
  readonly territories: ReadonlyMap<string, number>;
  readonly #scores: Scores;
  readonly #calibration: readonly CalibrationBand[] | null;
  readonly #ranked: readonly Ranked[];
  readonly #byId: ReadonlyMap<string, Ranked>;

  constructor(scores: Scores, calibration: readonly CalibrationBand[] | null, territories: ReadonlySet<string>) {
    this.#scores = scores;
    this.#calibration = calibration;
    this.territories = new Map([...scores.territories].filter(([name]) => territories.has(name)));
    this.#ranked = scores.organisations
      .filter(({ territory }) => territories.has(territory))
      .map((organisation, i) => ({
        rank: i + 1,
        organisation,
        key: searchable(`${organisation.name}\n${organisation.id}`),
      }));
    this.#byId = new Map(this.#ranked.map((ranked) => [ranked.organisation.id, ranked]));
  }

  page({ search, territory, page, size }: PageRequest): OrganisationsAnswer {
    const wanted = searchable(search);
    const isAll = wanted === '' && territory === null;
    const matching = isAll
      ? this.#ranked
      : this.#ranked.filter(
          ({ organisation, key }) =>
            (territory === null || organisation.territory === territory) && key.includes(wanted),
        );
    return {
      matches: matching.length,
      page,
      pages: Math.max(1, Math.ceil(matching.length / size)),
      organisations: matching
        .slice((page - 1) * size, page * size)
        .map((ranked) => this.#answer(ranked, this.#scores.evidence(ranked.organisation).signals, ROW_SIGNALS)),
    };
  }

  /** Null for what is not there and for what another territory has: the two look alike. */
  evidence(id: string): EvidenceAnswer | null {
    const ranked = this.#byId.get(id);
    if (ranked === undefined) return null;
    const { reference, referenceProbability, signals } = this.#scores.evidence(ranked.organisation);
    return {
      ...this.#answer(ranked, signals, signals.length),
      of: this.#ranked.length,
      reference,
      referenceProbability: threeDigits(referenceProbability),
      calibration: calibrationText(this.#calibration, ranked.organisation.probability),
    };
  }

  #answer({ rank, organisation }: Ranked, signals: Parameters<typeof tellingSignals>[0], most: number) {
    const { id, name, territory, probability } = organisation;
    return {
      rank,
      ...{ id, name, territory, probability: threeDigits(probability) },
      signals: tellingSignals(signals, most).map(({ text, contribution }) => ({
        text,
        contribution: Math.round(100 * contribution) / 100,
      })),
    } satisfies OrganisationAnswer;
  }
}

/** The territories of a table that a seller's token opens. */
export function territoriesOf(scores: Scores, { territories }: Pick<Seller, 'territories'>): ReadonlySet<string> {
  const every = territories.includes(EVERY_TERRITORY);
  return new Set([...scores.territories.keys()].filter((name) => every || territories.includes(name)));
}

/** Case, accents and forms of letters do not matter in a search. */
function searchable(text: string): string {
  return text.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase().trim();
}

function threeDigits(probability: number): number {
  return Math.round(1000 * probability) / 1000;
}
