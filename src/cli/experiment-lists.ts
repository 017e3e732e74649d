import { DATASETS, type DatasetName } from '../learning/dataset-names.ts';
import { usageError } from './exit.ts';

/** What --epsilon says. @throws CliError USAGE */
export function epsilonsOf(text: string): (number | 'none')[] {
  return text.split(',').map((part) => {
    const epsilon = part.trim() === 'none' ? 'none' : Number(part);
    if (epsilon === 'none' || (epsilon > 0 && epsilon <= 1000)) return epsilon;
    throw usageError("--epsilon: numbers above 0 and 'none', with commas between");
  });
}

/** The datasets that were named. @throws CliError USAGE */
export function datasetsOf(names: readonly string[]): readonly DatasetName[] {
  if (names.length === 1 && names[0] === 'all') return DATASETS;
  return names.map((name) => {
    const known = DATASETS.find((dataset) => dataset === name);
    if (known === undefined) throw usageError(`no dataset '${name}': ${DATASETS.join(', ')} or all`);
    return known;
  });
}
