import { LearningError } from './errors.ts';
import { type SeededRandom, seededRandom } from './random.ts';
import { makeTable, type Table } from './table.ts';

/**
 * Seeded CRM tables of four sales regions. Synthetic: no row describes anybody. The regions differ as real ones do, in
 * size, in how often a lead turns hot, in which industries they sell to and in how far their customers have come, so
 * that no region sees what all of them see together.
 */
export interface SyntheticSettings {
  readonly seed: string | number;
  /** Multiplies every region's number of rows; 1 makes 6,800 rows in all. */
  readonly size?: number;
}

interface RegionProfile {
  readonly name: string;
  readonly rows: number;
  /** Added to the log-odds of every lead: the region's base rate. */
  readonly odds: number;
  /** Relative frequency of each entry of INDUSTRIES. */
  readonly industries: readonly number[];
  readonly sources: readonly number[];
  /** Mean and spread of adoption velocity, volume growth (percent) and log seats. */
  readonly velocity: readonly [number, number];
  readonly growth: readonly [number, number];
  readonly seats: readonly [number, number];
  readonly emails: number;
}

const INDUSTRIES = [
  'software',
  'manufacturing',
  'finance',
  'healthcare',
  'retail',
  'logistics',
  'energy',
  'public sector',
];
const SOURCES = ['web form', 'partner', 'event', 'outbound', 'referral'];
const CONTRACTS = ['monthly', 'annual', 'multi-year'];

/** Log-odds of a hot lead by industry and by source: the same everywhere, but no region sees every entry often. */
const INDUSTRY_ODDS = [1.2, -1.4, 1.6, -1.6, -0.6, 1, 1.8, -2];
const SOURCE_ODDS = [-0.7, 0.9, 0.2, -1.4, 1.5];
const CONTRACT_ODDS = [-0.5, 0, 0.6];

const REGIONS: readonly RegionProfile[] = [
  {
    name: 'emea',
    rows: 2600,
    odds: -0.6,
    industries: [0.3, 9, 5, 0.2, 0.5, 0.2, 0.05, 4],
    sources: [1, 6, 4, 0.3, 0.1],
    velocity: [1.1, 0.25],
    growth: [6, 8],
    seats: [4.2, 0.9],
    emails: 8,
  },
  {
    name: 'amer',
    rows: 2200,
    odds: -0.1,
    industries: [9, 0.1, 2, 7, 0.5, 0.1, 0.1, 0.05],
    sources: [6, 0.3, 0.5, 5, 0.3],
    velocity: [1.4, 0.9],
    growth: [12, 10],
    seats: [4, 1.3],
    emails: 12,
  },
  {
    name: 'apac',
    rows: 1300,
    odds: -0.8,
    industries: [0.2, 3, 0.1, 0.1, 5, 8, 0.2, 0.1],
    sources: [0.5, 1, 7, 0.2, 1.5],
    velocity: [0.8, 0.35],
    growth: [15, 28],
    seats: [3.6, 0.7],
    emails: 6,
  },
  {
    name: 'latam',
    rows: 700,
    odds: -1.2,
    industries: [0.1, 0.2, 0.2, 0.5, 5, 0.3, 6, 1],
    sources: [3, 0.2, 0.3, 0.5, 6],
    velocity: [0.7, 0.5],
    growth: [2, 14],
    seats: [3.3, 0.8],
    emails: 4,
  },
];

/** One table per region, rows in no particular order; the same seed gives the same cells. */
export function syntheticRegions({ seed, size = 1 }: SyntheticSettings): Table[] {
  if (!(size > 0 && size <= 100)) throw new LearningError('BAD_SETTING', 'synthetic tables: size must be in (0, 100]');
  return REGIONS.map((profile) => {
    const random = seededRandom(`synthetic/${seed}/${profile.name}`);
    const rows = Array.from({ length: Math.max(20, Math.round(profile.rows * size)) }, () => drawLead(profile, random));
    const names = Object.keys(rows[0]!) as (keyof (typeof rows)[0])[];
    return makeTable(profile.name, new Map(names.map((name) => [name, rows.map((row) => row[name])])));
  });
}

function drawLead(profile: RegionProfile, random: SeededRandom) {
  const industry = weighted(profile.industries, random);
  const source = weighted(profile.sources, random);
  const contract = weighted([3, 5, 2], random);
  // One hidden thing, how engaged the account is, moves all that is counted.
  const engaged = random.normal();
  const emails = poisson(profile.emails * Math.exp(0.6 * engaged - 0.2), random);
  const meetings = poisson(1.4 * Math.exp(0.7 * engaged - 0.2), random);
  const silentDays = Math.min(365, Math.round(Math.exp(2.8 - 0.7 * engaged + 0.7 * random.normal())));
  const velocity = Math.max(0, profile.velocity[0] + profile.velocity[1] * random.normal());
  const growth = profile.growth[0] + profile.growth[1] * random.normal();
  const peak = 1 / (1 + Math.exp(-(0.6 * engaged + random.normal())));
  const errors = Math.exp(0.3 + 0.7 * random.normal()) - 0.4;
  const tickets = poisson(1.2 * Math.exp(0.4 * random.normal()), random);
  const seats = Math.round(Math.exp(profile.seats[0] + profile.seats[1] * random.normal()));
  const known = random.uniform() < 0.35 + 0.1 * Math.tanh(engaged);
  const odds =
    profile.odds +
    INDUSTRY_ODDS[industry]! +
    SOURCE_ODDS[source]! +
    CONTRACT_ODDS[contract]! +
    0.6 * (Math.log1p(emails) - 2) +
    0.5 * (Math.log1p(meetings) - 0.9) -
    0.5 * (Math.log1p(silentDays) - 2.8) +
    1.3 * (velocity - 1) +
    0.05 * (growth - 8) +
    0.8 * (peak - 0.5) -
    0.5 * (Math.log1p(Math.max(0, errors)) - 0.8) -
    0.3 * (Math.log1p(tickets) - 0.7) +
    0.2 * (Math.log1p(seats) - 4) +
    (known ? 0.7 : 0);
  return {
    email_count_30d: String(emails),
    meetings_90d: String(meetings),
    last_interaction_days: String(silentDays),
    // New accounts have no history yet: the cell stays empty.
    adoption_velocity: random.uniform() < 0.04 ? '' : velocity.toFixed(2),
    volume_growth_pct: random.uniform() < 0.04 ? '' : growth.toFixed(1),
    peak_use_ratio: peak.toFixed(3),
    error_rate_pct: Math.max(0, errors).toFixed(2),
    open_tickets: String(tickets),
    seats: String(seats),
    industry: random.uniform() < 0.01 ? 'other' : INDUSTRIES[industry]!,
    lead_source: SOURCES[source]!,
    contract: CONTRACTS[contract]!,
    decision_maker_known: known ? 'yes' : 'no',
    hot_lead: random.uniform() < 1 / (1 + Math.exp(-odds)) ? 'yes' : 'no',
  };
}

/** An index, by relative frequency. */
export function weighted(weights: readonly number[], random: SeededRandom): number {
  let left = random.uniform() * weights.reduce((sum, weight) => sum + weight, 0);
  for (let index = 0; index < weights.length - 1; index++) {
    left -= weights[index]!;
    if (left < 0) return index;
  }
  return weights.length - 1;
}

/** Knuth's product method; means here stay below a hundred. */
export function poisson(mean: number, random: SeededRandom): number {
  const limit = Math.exp(-Math.min(mean, 100));
  let count = 0;
  for (let product = random.uniform(); product > limit; product *= random.uniform()) count++;
  return count;
}
