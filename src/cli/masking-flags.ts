import { type Command, Option } from 'commander';
import type { Task } from '../../protocols/task.ts';
import type { RoundsRequest } from '../training/assemble-task.ts';
import { usageError } from './exit.ts';
import { numberOption } from './settings.ts';

/** Flags of rounds without masks, as commander gives them. */
export interface MaskingFlags {
  readonly masking?: 'pairwise' | 'none';
  readonly buffer?: number;
  readonly maxStaleness?: number;
}

export function withMaskingOptions(command: Command): Command {
  return command
    .optionsGroup('Asynchronous rounds:')
    .addOption(
      new Option(
        '--masking <kind>',
        'none: asynchronous rounds, for nodes that train at their own pace, under a weaker claim; default pairwise',
      ).choices(['pairwise', 'none']),
    )
    .addOption(
      numberOption('--buffer <k>', 'with --masking none: a round is closed with so many uploads; default --min-cohort'),
    )
    .addOption(
      numberOption(
        '--max-staleness <s>',
        'with --masking none: models that an update may be behind; s behind, it counts 1/sqrt(1+s); default 10',
      ),
    );
}

/** @throws CliError USAGE for a buffer or staleness of rounds with masks. */
export function oneShotOf({ masking, buffer, maxStaleness }: MaskingFlags): RoundsRequest['oneShot'] {
  if (masking === 'none')
    return {
      ...(buffer === undefined ? {} : { buffer }),
      ...(maxStaleness === undefined ? {} : { maxStaleness }),
    };
  if ((buffer ?? maxStaleness) !== undefined)
    throw usageError('--buffer and --max-staleness go with --masking none: with masks a round waits for its nodes');
  return undefined;
}

/** What rounds of a task without masks promise less, in words; none for other tasks. */
export function maskingLines({ oneShot, minCohort }: Pick<Task, 'oneShot' | 'minCohort'>): string[] {
  if (oneShot === undefined) return [];
  return [
    `asynchronous, masking none: closed with ${oneShot.buffer} uploads${oneShot.buffer > minCohort ? `, or when late with ${minCohort} or more` : ''}; an update counts 1/sqrt(1+s), s models behind, ${oneShot.maxStaleness} at most`,
    'a weaker claim: t members and a recipient together can open what any one node sent, no mask keeps them out (claim (a) alone)',
    'no node sees who else is in a sum before it shares its key: the minimums of the task are all that a site can count on',
    "nothing is signed about a sum, so whoever adds up can shift it: 'veilsum audit --blobs' adds up again, else it is not checked",
  ];
}
