/** What the API answers, as JSON. The page reads the same types. */

/** `GET /api/v1/about`: what is ranked, and what this token may read. */
export interface AboutAnswer {
  /** After "chance of". */
  readonly outcome: string;
  /** SHA-256 of the model, hex: the log's name of it. */
  readonly modelHash: string;
  readonly schema: string;
  /** When the table was scored, RFC 3339. */
  readonly scoredAt: string;
  readonly seller: string;
  /** Territories that the token may read, with their organisations. */
  readonly territories: readonly { readonly name: string; readonly organisations: number }[];
  /** Names of the summaries. */
  readonly summaries: readonly string[];
  /** Fewest organisations in a group that is shown. */
  readonly least: number;
}

export interface SignalAnswer {
  readonly text: string;
  /** Log-odds, to two digits. */
  readonly contribution: number;
}

export interface OrganisationAnswer {
  /** Place among what the token may read, 1 first. */
  readonly rank: number;
  readonly id: string;
  readonly name: string;
  readonly territory: string;
  /** To three digits. */
  readonly probability: number;
  /** The strongest few; all of them in the evidence. */
  readonly signals: readonly SignalAnswer[];
}

/** `GET /api/v1/organisations`: one page of the ranking. */
export interface OrganisationsAnswer {
  /** Organisations that match. */
  readonly matches: number;
  readonly page: number;
  readonly pages: number;
  readonly organisations: readonly OrganisationAnswer[];
}

/** `GET /api/v1/organisations/{id}`: one organisation with its evidence. */
export interface EvidenceAnswer extends OrganisationAnswer {
  /** Of how many. */
  readonly of: number;
  /** What the contributions are measured against. */
  readonly reference: string;
  readonly referenceProbability: number;
  /** What the probability is worth. */
  readonly calibration: string;
}

/** `GET /api/v1/summaries/{by}`: groups of all territories' organisations, the same for every reader. */
export interface SummaryAnswer {
  readonly by: string;
  readonly least: number;
  readonly groups: readonly {
    readonly value: string;
    readonly organisations: number;
    readonly meanProbability: number;
  }[];
  /** Groups that are not shown. */
  readonly hidden: number;
  readonly total: { readonly organisations: number; readonly meanProbability: number } | null;
}
