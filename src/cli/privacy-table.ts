import { bisect, deltaOfRhoClassic, epsilonOfRho } from '../../protocols/accountant.ts';
import { discreteGaussianDelta, gaussianDelta, gaussianNoise } from '../../protocols/gaussian-mechanism.ts';
import { composeSampledGaussian } from '../../protocols/privacy-loss.ts';
import { renyiEpsilon, sampledGaussianEpsilon, sampledGaussianRenyi, skellamRenyi } from '../../protocols/renyi.ts';
import { LEAST_ORDER, MOST_ORDER } from '../../protocols/sampled-charge.ts';
import { epsilonText, table } from './output.ts';

export interface PrivacyPlan {
  readonly rounds: number;
  readonly rate: number;
  readonly delta: number;
  /** The order that a ledger of drawn rounds counts at; absent: the best one. */
  readonly order?: number | undefined;
  /** Whole-numbered sums: squared L2 and L1 sensitivity. */
  readonly steps?: { readonly sensitivity2: number; readonly l1: number } | undefined;
}

/** Steps beyond which the numerical accountant takes minutes and is no longer tight. */
const MOST_COMPOSED = 2000;
const LARGEST_EPSILON = 1e4;
const MOST_NOISE = 1e8;
const WHOLE_ORDERS = Array.from({ length: MOST_ORDER - LEAST_ORDER + 1 }, (_, i) => LEAST_ORDER + i);

interface Accountant {
  readonly name: string;
  readonly says: string;
  /** Whether it can speak about a plan. */
  serves(plan: PrivacyPlan, noise: number): boolean;
  /** @param noise - standard deviation over the sensitivity. */
  epsilon(plan: PrivacyPlan, noise: number): number;
}

/** The least epsilon whose delta, which falls in it, is at most the target's. */
function leastEpsilon(delta: number, deltaOf: (epsilon: number) => number): number {
  return bisect(0, LARGEST_EPSILON, (epsilon) => deltaOf(epsilon) > delta).above;
}

const rhoOf = ({ rounds }: PrivacyPlan, noise: number): number => rounds / (2 * noise ** 2);
const everybody = ({ rate }: PrivacyPlan): boolean => rate === 1;

/** The order that drawn rounds are counted at, and epsilon there. */
function ledgerEpsilon({ rate, rounds, delta, order }: PrivacyPlan, noise: number): { epsilon: number; order: number } {
  const divergence = (alpha: number): number => rounds * sampledGaussianRenyi(rate, noise, alpha);
  return renyiEpsilon(divergence, delta, order === undefined ? WHOLE_ORDERS : [order]);
}

const ACCOUNTANTS: readonly Accountant[] = [
  {
    name: 'zCDP',
    says: 'what the ledger charges (Canonne, Kamath, Steinke 2020)',
    serves: everybody,
    epsilon: (plan, noise) => epsilonOfRho(rhoOf(plan, noise), plan.delta),
  },
  {
    name: 'Renyi, one order',
    says: 'what the ledger charges where records are drawn',
    serves: ({ rate }) => rate < 1,
    epsilon: (plan, noise) => ledgerEpsilon(plan, noise).epsilon,
  },
  {
    name: 'zCDP, classic',
    says: 'the older conversion (Bun, Steinke 2016)',
    serves: everybody,
    epsilon: (plan, noise) => leastEpsilon(plan.delta, (e) => deltaOfRhoClassic(rhoOf(plan, noise), e)),
  },
  {
    name: 'Renyi',
    says: 'sampled Gaussian (Mironov, Talwar, Zhang 2019)',
    serves: () => true,
    epsilon: ({ rate, rounds, delta }, noise) => sampledGaussianEpsilon({ rate, noise }, rounds, delta).epsilon,
  },
  {
    name: 'exact',
    says: 'the Gaussian mechanism (Balle, Wang 2018): no accountant can say less',
    serves: everybody,
    epsilon: ({ rounds, delta }, noise) => leastEpsilon(delta, (e) => gaussianDelta(noise / Math.sqrt(rounds), e)),
  },
  {
    name: 'exact, discrete',
    says: 'one whole-numbered sum of sensitivity 1',
    serves: (plan, noise) => everybody(plan) && plan.rounds === 1 && noise <= 1000,
    epsilon: ({ delta }, noise) => leastEpsilon(delta, (e) => discreteGaussianDelta(noise ** 2, e)),
  },
  {
    name: 'privacy loss',
    says: 'numerical, an upper bound (Doroshenko and others 2022)',
    serves: ({ rate, rounds }) => rate < 1 && rounds <= MOST_COMPOSED,
    epsilon: ({ rate, rounds, delta }, noise) => composeSampledGaussian({ rate, noise }, rounds).epsilon(delta),
  },
  {
    name: 'Skellam',
    says: 'noise of that variance by another distribution, not used (Agarwal, Kairouz, Liu 2021)',
    serves: (plan) => everybody(plan) && plan.steps !== undefined,
    epsilon: ({ rounds, delta, steps }, noise) => {
      const { sensitivity2, l1 } = steps!;
      return renyiEpsilon(
        (a) => rounds * skellamRenyi(noise ** 2 * sensitivity2, sensitivity2, l1, a),
        delta,
        WHOLE_ORDERS,
      ).epsilon;
    },
  },
];

/** The least noise, to four digits, at which an accountant says at most this epsilon; null where its orders carry none so small. */
function noiseFor(accountant: Accountant, plan: PrivacyPlan, epsilon: number): number | null {
  let high = 0.5;
  while (accountant.epsilon(plan, high) > epsilon) {
    high *= 2;
    if (high > MOST_NOISE) return null;
  }
  let low = high / 2;
  while (high - low > 1e-4 * high) {
    const middle = (low + high) / 2;
    if (accountant.epsilon(plan, middle) > epsilon) low = middle;
    else high = middle;
  }
  return high;
}

interface PrivacyRequest extends PrivacyPlan {
  readonly noise?: number | undefined;
  readonly epsilon?: number | undefined;
  /** Part of the clip that sensitive columns have. */
  readonly sensitiveShare?: number | undefined;
  readonly json?: boolean | undefined;
}

/** Epsilon of a noise, or noise for an epsilon, by each accountant that can tell. */
export function printPrivacy(request: PrivacyRequest, print: (line: string) => void): void {
  const { noise, epsilon, rounds, rate, delta, sensitiveShare } = request;
  const rows = ACCOUNTANTS.filter((a) => a.serves(request, noise ?? 1))
    // What is solved for by trying is asked of the quick ones only; the exact one has a formula.
    .filter((a) => noise !== undefined || (a.name !== 'privacy loss' && a.name !== 'exact, discrete'))
    .flatMap((accountant) => {
      const exact = accountant.name === 'exact' && epsilon !== undefined;
      const needed = exact ? gaussianNoise(epsilon, delta) * Math.sqrt(rounds) : null;
      const z = noise ?? needed ?? noiseFor(accountant, request, epsilon!);
      if (z === null) return [];
      const row = { accountant: accountant.name, says: accountant.says, noise: z };
      const whole = { ...row, epsilon: epsilon ?? accountant.epsilon(request, z) };
      const own =
        sensitiveShare === undefined ? null : accountant.epsilon({ ...request, order: undefined }, z / sensitiveShare);
      return [own === null ? whole : { ...whole, sensitiveEpsilon: own }];
    });
  if (request.json === true) {
    print(JSON.stringify({ rounds, rate, delta, rows }));
    return;
  }
  const share = rate === 1 ? '' : `, each over a random ${rate * 100} % of the records`;
  print(`${rounds === 1 ? 'one sum' : `${rounds} sums`}${share}, delta ${delta.toExponential()}`);
  if (rows.length === 0) {
    print('no accountant carries so small an epsilon at this delta: raise one of the two');
    return;
  }
  const column = noise === undefined ? 'noise / clip' : 'epsilon';
  const sensitive = sensitiveShare === undefined ? [] : ['sensitive'];
  const cells = rows.map((row) => [
    row.accountant,
    noise === undefined ? row.noise.toPrecision(4) : epsilonText(row.epsilon),
    ...('sensitiveEpsilon' in row ? [epsilonText(row.sensitiveEpsilon)] : []),
    row.says,
  ]);
  print(table(['accountant', column, ...sensitive, ''], cells));
  if (rate < 1 && rows[0] !== undefined) printOrder(request, rows[0].noise, print);
  if (sensitiveShare !== undefined)
    print(
      "'sensitive': epsilon of what the weights of sensitive columns tell by themselves; with all others it is the whole one.",
    );
}

function printOrder(request: PrivacyRequest, noise: number, print: (line: string) => void): void {
  const { order } = ledgerEpsilon(request, noise);
  print(
    `The ledger counts at one Renyi order, ${order} here, which the federation is founded with ('init --renyi-order').`,
  );
  print(
    'It rests on this: every node draws each of its records by itself, anew for each round, and keeps to itself which.',
  );
}
