import { bisect, deltaOfRhoClassic, epsilonOfRho } from '../../protocols/accountant.ts';
import { discreteGaussianDelta, gaussianDelta, gaussianNoise } from '../../protocols/gaussian-mechanism.ts';
import { composeSampledGaussian } from '../../protocols/privacy-loss.ts';
import { sampledGaussianEpsilon } from '../../protocols/renyi.ts';
import { epsilonText, table } from './output.ts';

interface Plan {
  readonly rounds: number;
  readonly rate: number;
  readonly delta: number;
}

/** Steps beyond which the numerical accountant takes minutes and is no longer tight. */
const MOST_COMPOSED = 2000;
const LARGEST_EPSILON = 1e4;

interface Accountant {
  readonly name: string;
  readonly says: string;
  /** Whether it can speak about a plan. */
  serves(plan: Plan, noise: number): boolean;
  /** @param noise - standard deviation over the sensitivity. */
  epsilon(plan: Plan, noise: number): number;
}

/** The least epsilon whose delta, which falls in it, is at most the target's. */
function leastEpsilon(delta: number, deltaOf: (epsilon: number) => number): number {
  return bisect(0, LARGEST_EPSILON, (epsilon) => deltaOf(epsilon) > delta).above;
}

const rhoOf = ({ rounds }: Plan, noise: number): number => rounds / (2 * noise ** 2);
const everybody = ({ rate }: Plan): boolean => rate === 1;

const ACCOUNTANTS: readonly Accountant[] = [
  {
    name: 'zCDP',
    says: 'what the ledger charges (Canonne, Kamath, Steinke 2020)',
    serves: everybody,
    epsilon: (plan, noise) => epsilonOfRho(rhoOf(plan, noise), plan.delta),
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
];

/** The least noise, to four digits, at which an accountant says at most this epsilon. */
function noiseFor(accountant: Accountant, plan: Plan, epsilon: number): number {
  let high = 0.5;
  while (accountant.epsilon(plan, high) > epsilon) high *= 2;
  let low = high / 2;
  while (high - low > 1e-4 * high) {
    const middle = (low + high) / 2;
    if (accountant.epsilon(plan, middle) > epsilon) low = middle;
    else high = middle;
  }
  return high;
}

/** Epsilon of a noise, or noise for an epsilon, by each accountant that can tell. */
export function printPrivacy(
  request: Plan & { readonly noise?: number; readonly epsilon?: number; readonly json?: boolean },
  print: (line: string) => void,
): void {
  const { noise, epsilon, rounds, rate, delta } = request;
  const rows = ACCOUNTANTS.filter((a) => a.serves(request, noise ?? 1))
    // What is solved for by trying is asked of the quick ones only; the exact one has a formula.
    .filter((a) => noise !== undefined || (a.name !== 'privacy loss' && a.name !== 'exact, discrete'))
    .map((accountant) => {
      const exact = accountant.name === 'exact' && epsilon !== undefined;
      const needed = exact ? gaussianNoise(epsilon, delta) * Math.sqrt(rounds) : null;
      return {
        accountant: accountant.name,
        says: accountant.says,
        noise: noise ?? needed ?? noiseFor(accountant, request, epsilon!),
        epsilon: epsilon ?? accountant.epsilon(request, noise!),
      };
    });
  if (request.json === true) {
    print(JSON.stringify({ rounds, rate, delta, rows }));
    return;
  }
  const share = rate === 1 ? '' : `, each over a random ${rate * 100} % of the records`;
  print(`${rounds === 1 ? 'one sum' : `${rounds} sums`}${share}, delta ${delta.toExponential()}`);
  const column = noise === undefined ? 'noise / clip' : 'epsilon';
  const cells = rows.map((row) => [
    row.accountant,
    noise === undefined ? row.noise.toPrecision(4) : epsilonText(row.epsilon),
    row.says,
  ]);
  print(table(['accountant', column, ''], cells));
  if (rate < 1)
    print('For planning only: rounds do not draw records at random yet, and the ledger charges every record.');
}
