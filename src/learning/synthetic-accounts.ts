import { LearningError } from './errors.ts';
import { DAY_MS, parseInstant } from './instants.ts';
import { type SeededRandom, seededRandom } from './random.ts';
import { poisson, type SyntheticSettings, weighted } from './synthetic.ts';
import { makeTable, type Table } from './table.ts';

/**
 * Seeded accounts of four sales regions with what they did: one row per account, one per use of a product, one per mail. Synthetic:
 * no row describes anybody. Who takes the next product (`upsold`) shows in how use grows, what is adopted and what fails, and in no
 * single event; regions sell to other industries, and with other products.
 */
export interface AccountTables {
  readonly name: string;
  readonly accounts: Table;
  readonly usage: Table;
  readonly mails: Table;
}

/** What an account's row describes: everything before this moment. */
export const SNAPSHOT = '2026-04-01';
const SNAPSHOT_MS = parseInstant(SNAPSHOT);
/** Days of events before it. */
const DAYS = 180;

interface RegionProfile {
  readonly name: string;
  readonly accounts: number;
  readonly odds: number;
  /** Relative frequency of each entry of INDUSTRIES. */
  readonly industries: readonly number[];
  /** Log-odds that a product is in use, by entry of PRODUCTS. */
  readonly products: readonly number[];
}

const INDUSTRIES = ['software', 'finance', 'retail', 'energy'];
const INDUSTRY_ODDS = [1.3, 1.6, -1.2, -1.7];
const PRODUCTS = ['reporting', 'pipeline', 'billing', 'mail', 'mobile', 'archive'];
/** Those that go with what is sold next. */
const NEAR = 3;

const REGIONS: readonly RegionProfile[] = [
  { name: 'emea', accounts: 1300, odds: -1.4, industries: [0.5, 7, 0.3, 4], products: [1, -0.5, 0, 1, -1, 0] },
  { name: 'amer', accounts: 1100, odds: -1.1, industries: [8, 0.3, 3, 0.2], products: [0, 1, -1, 1, 0.5, -1] },
  { name: 'apac', accounts: 700, odds: -1.5, industries: [2, 0.2, 8, 0.5], products: [-1, 0, 1, 0, 1.5, -1] },
  { name: 'latam', accounts: 400, odds: -1.8, industries: [0.3, 0.2, 4, 6], products: [-0.5, -1, 0.5, 1, 1, 0.5] },
];

type Rows = Record<string, string[]>;

/** The same seed gives the same cells. */
export function syntheticAccounts({ seed, size = 1 }: SyntheticSettings): AccountTables[] {
  if (!(size > 0 && size <= 100)) throw new LearningError('BAD_SETTING', 'synthetic tables: size must be in (0, 100]');
  return REGIONS.map((profile) => {
    const random = seededRandom(`accounts/${seed}/${profile.name}`);
    const [accounts, usage, mails]: [Rows, Rows, Rows] = [{}, {}, {}];
    const count = Math.max(40, Math.round(profile.accounts * size));
    for (let i = 1; i <= count; i++) {
      const id = `${profile.name}-${String(i).padStart(5, '0')}`;
      drawAccount(id, profile, random, { accounts, usage, mails });
    }
    const tableOf = (name: string, rows: Rows): Table => makeTable(name, new Map(Object.entries(rows)));
    return {
      name: profile.name,
      accounts: tableOf('accounts', accounts),
      usage: tableOf('usage', usage),
      mails: tableOf('mails', mails),
    };
  });
}

function add(rows: Rows, row: Readonly<Record<string, string>>): void {
  for (const [name, cell] of Object.entries(row)) {
    rows[name] ??= [];
    rows[name].push(cell);
  }
}

/** A moment so many days before the snapshot, to the second. */
function momentOf(daysBefore: number): string {
  return `${new Date(SNAPSHOT_MS - daysBefore * DAY_MS).toISOString().slice(0, 19)}Z`;
}

interface RowsOf {
  readonly accounts: Rows;
  readonly usage: Rows;
  readonly mails: Rows;
}

function drawAccount(id: string, profile: RegionProfile, random: SeededRandom, into: RowsOf): void {
  // Three hidden things: how engaged the account is, whether it grows, how much fails.
  const [engaged, growing, failing] = [random.normal(), random.normal(), random.normal()];
  const industry = weighted(profile.industries, random);
  const adopted = PRODUCTS.map((_, product) => {
    const isUsed = random.uniform() < 1 / (1 + Math.exp(-profile.products[product]! - 0.6 * engaged));
    // Who grows adopts late: within the last months.
    return isUsed ? 400 * random.uniform() ** Math.exp(0.5 * growing) : 0;
  });
  const near = adopted.slice(0, NEAR).filter((days) => days > 0).length;
  drawUsage(id, { engaged, growing, failing, adopted }, random, into.usage);
  const mails = poisson(9 * Math.exp(0.5 * engaged), random);
  for (let i = 0; i < mails; i++) add(into.mails, { account_id: id, sent_at: momentOf(DAYS * random.uniform()) });
  const tenure = 20 + Math.round(2500 * random.uniform() ** 1.5);
  const odds =
    profile.odds + INDUSTRY_ODDS[industry]! + 0.7 * engaged + 1.1 * growing - 0.9 * failing + 0.8 * (near - 1.5);
  const isUpsold = random.uniform() < 1 / (1 + Math.exp(-odds));
  add(into.accounts, {
    account_id: id,
    industry: INDUSTRIES[industry]!,
    customer_since: momentOf(tenure).slice(0, 10),
    snapshot_at: SNAPSHOT,
    upsold: isUpsold ? 'yes' : 'no',
    // Known only afterwards: what a feature file has to name as leakage.
    new_contract_value: isUpsold ? String(1000 * (1 + random.integer(90))) : '',
  });
}

interface Account {
  readonly engaged: number;
  readonly growing: number;
  readonly failing: number;
  /** Days since each product was adopted; 0: not in use. */
  readonly adopted: readonly number[];
}

function drawUsage(
  id: string,
  { engaged, growing, failing, adopted }: Account,
  random: SeededRandom,
  usage: Rows,
): void {
  const trouble = 0.12 * Math.exp(0.7 * failing);
  for (let month = 0; month < DAYS / 30; month++) {
    const uses = poisson(4.5 * Math.exp(0.4 * engaged + 0.25 * growing * (1 - month)), random);
    for (let i = 0; i < uses; i++) {
      const daysBefore = 30 * (month + random.uniform());
      const open = PRODUCTS.filter((_, product) => adopted[product]! > daysBefore);
      if (open.length === 0) continue;
      const luck = random.uniform() / trouble;
      add(usage, {
        account_id: id,
        used_at: momentOf(daysBefore),
        product: open[random.integer(open.length)]!,
        status: luck < 0.6 ? 'error' : luck < 1 ? 'timeout' : luck < 1.7 ? 'retry' : 'ok',
        calls: String(1 + poisson(6 * Math.exp(0.3 * engaged), random)),
      });
    }
  }
}
