import { CryptoError } from '../../crypto/errors.ts';
import { describeCorruption } from './corruption.ts';
import { Federation } from './federation.ts';
import { Founding, type Kit } from './founding.ts';
import { Draw } from './random.ts';
import { drawScenario } from './scenario.ts';
import { Violation } from './truth.ts';
import { type StepKind, World } from './world.ts';

/** What came of one seed. */
export interface Verdict {
  readonly seed: number;
  readonly steps: number;
  readonly counts: Readonly<Record<StepKind, number>>;
  /** Whether the order of hashes decided something: steps and outcome are then others under other primitives. */
  readonly isByHashes: boolean;
  /** One line per round; the same for toy and real primitives, where `isByHashes` is false. */
  readonly outcome: readonly string[];
  readonly failure: {
    readonly id: string;
    readonly what: string;
    /** Who was corrupt in this run, in words. */
    readonly corrupt: string;
    readonly lastEvents: readonly string[];
  } | null;
}

/** Runs one seed to its end, or to the first thing that must not be. */
export function runSeed(seed: number, kit: Kit, show: ((line: string) => void) | null = null): Verdict {
  const draw = new Draw(seed);
  const world = new World(draw, show);
  const bytes = draw.fork('secrets');
  let federation: Federation | null = null;
  let failure: Verdict['failure'] = null;
  let corrupt = '';
  try {
    const scenario = drawScenario(draw.fork('scenario'));
    corrupt = describeCorruption(scenario.corruption);
    const founding = new Founding(kit, (length) => bytes.bytes(length), scenario.sizes);
    federation = new Federation(world, founding, scenario);
    federation.run();
  } catch (error) {
    failure = { ...explained(error), corrupt, lastEvents: world.lastEvents };
  }
  const isByHashes = federation?.truth.isByHashes ?? false;
  return { seed, steps: world.steps, counts: world.counts, isByHashes, outcome: federation?.outcome ?? [], failure };
}

function explained(error: unknown): { id: string; what: string } {
  if (error instanceof Violation) return { id: error.id, what: error.message };
  const { name, message, stack } = error as Error;
  const code = error instanceof CryptoError ? ` ${error.code}` : '';
  return { id: 'S14', what: `${name}${code}: ${message}\n${stack ?? ''}` };
}
