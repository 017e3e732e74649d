import type { Command } from 'commander';
import { numberOption } from './settings.ts';

/** Flags of `task new` for rows without a label. */
export interface PseudoFlags {
  readonly pseudoLabels?: number;
  readonly pseudoWeight?: number;
  readonly pseudoFrom?: number;
  readonly pseudoSegment?: string;
  readonly pseudoLocalPrecision?: number;
}

/** Adds the flags of every unit to a command. @param otherwise - what happens without --pseudo-labels. */
export function withRecordPseudoOptions(command: Command, otherwise: string): Command {
  return command
    .optionsGroup('Rows without a label:')
    .addOption(
      numberOption(
        '--pseudo-labels <p>',
        `rows with a blank label take part with the one that the round's model gives them with probability p or more; default: ${otherwise}`,
      ),
    )
    .addOption(numberOption('--pseudo-weight <w>', 'what such a row counts, up to 1 (unit record); default 1'))
    .addOption(numberOption('--pseudo-from <n>', 'only in rounds from model number n on; default 50'))
    .option('--pseudo-segment <column=levels>', "only such rows, as 'Lead Origin=API,Lead Import'");
}

/** Adds all of them. */
export function withPseudoOptions(command: Command): Command {
  return withRecordPseudoOptions(command, 'they are refused').addOption(
    numberOption(
      '--pseudo-local-precision <p>',
      'with --unit node and --pseudo-segment <column>: each node picks levels where the model is right so often',
    ),
  );
}
