import type { EvidenceAnswer, OrganisationAnswer, OrganisationsAnswer } from './api-types.ts';
import { type CalibrationBand, calibrationText } from './calibration.ts';
import { tellingSignals } from './ranking.ts';
import type { Organisation, Scores, Signal } from './scores.ts';
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
}

/** Between two organisations in the text that is searched; no search holds it. */
const GAP = '\n';

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
  readonly #rows = new Map<Ranked, OrganisationAnswer>();
  /** Names and ids of all, by rank, as one text: looking through it is one scan. */
  readonly #text: string;
  /** Where each begins in it, and its end. */
  readonly #starts: Uint32Array;

  constructor(scores: Scores, calibration: readonly CalibrationBand[] | null, territories: ReadonlySet<string>) {
    this.#scores = scores;
    this.#calibration = calibration;
    this.territories = new Map([...scores.territories].filter(([name]) => territories.has(name)));
    this.#ranked = scores.organisations
      .filter(({ territory }) => territories.has(territory))
      .map((organisation, i) => ({ rank: i + 1, organisation }));
    const keys = this.#ranked.map(({ organisation: { name, id } }) => `${searchable(name)}\t${searchable(id)}${GAP}`);
    this.#text = keys.join('');
    this.#starts = new Uint32Array(keys.length + 1);
    keys.forEach((key, i) => {
      this.#starts[i + 1] = this.#starts[i]! + key.length;
    });
    this.#byId = new Map(this.#ranked.map((ranked) => [ranked.organisation.id, ranked]));
  }

  page({ search, territory, page, size }: PageRequest): OrganisationsAnswer {
    const found = this.#find(searchable(search));
    const matching =
      territory === null ? found : found.filter(({ organisation }) => organisation.territory === territory);
    return {
      matches: matching.length,
      page,
      pages: Math.max(1, Math.ceil(matching.length / size)),
      organisations: matching.slice((page - 1) * size, page * size).map((ranked) => this.#row(ranked)),
    };
  }

  /** Made at the first look and kept: scores do not change. */
  #row(ranked: Ranked): OrganisationAnswer {
    const known = this.#rows.get(ranked);
    if (known !== undefined) return known;
    const row = this.#answer(ranked, this.#scores.evidence(ranked.organisation, ROW_SIGNALS).signals);
    this.#rows.set(ranked, row);
    return row;
  }

  /** By rank, those whose name or id holds the text. */
  #find(wanted: string): readonly Ranked[] {
    if (wanted === '') return this.#ranked;
    const found: Ranked[] = [];
    let rank = 0;
    for (let at = this.#text.indexOf(wanted); at >= 0; at = this.#text.indexOf(wanted, this.#starts[rank]!)) {
      while (this.#starts[rank + 1]! <= at) rank++;
      found.push(this.#ranked[rank]!);
      rank++;
    }
    return found;
  }

  /** Null for what is not there and for what another territory has: the two look alike. */
  evidence(id: string): EvidenceAnswer | null {
    const ranked = this.#byId.get(id);
    if (ranked === undefined) return null;
    const { reference, referenceProbability, signals } = this.#scores.evidence(ranked.organisation);
    return {
      ...this.#answer(ranked, signals),
      of: this.#ranked.length,
      reference,
      referenceProbability: threeDigits(referenceProbability),
      calibration: calibrationText(this.#calibration, ranked.organisation.probability),
    };
  }

  #answer({ rank, organisation }: Ranked, signals: readonly Signal[]): OrganisationAnswer {
    const { id, name, territory, probability } = organisation;
    return {
      rank,
      ...{ id, name, territory, probability: threeDigits(probability) },
      signals: tellingSignals(signals).map(({ text, contribution }) => ({
        text,
        contribution: Math.round(100 * contribution) / 100,
      })),
    };
  }
}

/** The territories of a table that a seller's token opens. */
export function territoriesOf(scores: Scores, { territories }: Pick<Seller, 'territories'>): ReadonlySet<string> {
  const every = territories.includes(EVERY_TERRITORY);
  return new Set([...scores.territories.keys()].filter((name) => every || territories.includes(name)));
}

/** Case, accents and forms of letters do not matter in a search. */
function searchable(text: string): string {
  return text
    .normalize('NFKD')
    .replaceAll(/[\p{M}\p{Cc}]/gu, '')
    .toLowerCase()
    .trim();
}

function threeDigits(probability: number): number {
  return Math.round(1000 * probability) / 1000;
}
