import { Command, Help, type Option } from 'commander';
import { VERSION } from '../party/version.ts';
import { aggregatorCommand } from './aggregator.ts';
import { auditCommand } from './audit.ts';
import { benchCommand } from './bench.ts';
import { contributionsCommand } from './contributions.ts';
import { coordinatorCommand } from './coordinator.ts';
import { demoCommand } from './demo.ts';
import { enrolCommand } from './enrol.ts';
import { experimentCommand } from './experiment.ts';
import { initCommand } from './init.ts';
import { inviteCommand } from './invite.ts';
import { keysCommand } from './keys.ts';
import { logCommand } from './log.ts';
import { matchCommand } from './match.ts';
import { memberCommand } from './member.ts';
import { modelCommand } from './model.ts';
import { nodeCommand } from './node.ts';
import { policyCommand } from './policy.ts';
import { privacyCommand } from './privacy.ts';
import { quorumCommand } from './quorum.ts';
import { recipientCommand } from './recipient.ts';
import { resultCommand } from './result.ts';
import { revokeCommand } from './revoke.ts';
import { roundCommand } from './round.ts';
import { scoreCommand } from './score.ts';
import { statisticsCommand } from './statistics.ts';
import { taskCommand } from './task.ts';
import { witnessCommand } from './witness.ts';

const GROUPS: readonly (readonly [string, readonly (() => Command)[]])[] = [
  ['Try it:', [demoCommand]],
  [
    'Found a federation:',
    [
      initCommand,
      keysCommand,
      privacyCommand,
      taskCommand,
      policyCommand,
      inviteCommand,
      enrolCommand,
      revokeCommand,
      quorumCommand,
    ],
  ],
  [
    'Run a party:',
    [coordinatorCommand, aggregatorCommand, memberCommand, witnessCommand, nodeCommand, recipientCommand],
  ],
  ['Align accounts across sites:', [matchCommand]],
  ['Rounds and results:', [roundCommand, resultCommand, statisticsCommand]],
  ['Use the model:', [modelCommand, scoreCommand]],
  ['Verify:', [logCommand, auditCommand, contributionsCommand]],
  ['Measure:', [experimentCommand, benchCommand]],
];

/**
 * The command line. Commands load what they work with only when they run, so that help and errors are quick.
 *
 * Throws CommanderError where commander would end the process.
 */
export function buildProgram(): Command {
  const program = new Command('veilsum')
    .description('Secure aggregation for federated learning between regions that may not share data.')
    .version(VERSION, '-V, --version')
    // A command and one below it may have options of the same name.
    .enablePositionalOptions()
    .addHelpText(
      'after',
      `
Every command has --help with examples. --dir is VEILSUM_DIR in the environment, and so on: the help names each variable.
Exit codes: 0 done, 1 refused or failed, 2 cannot decide (audit), 3 usage. VEILSUM_DEBUG=1 prints where an error came from.
`,
    );
  for (const [heading, makers] of GROUPS) {
    program.commandsGroup(heading);
    for (const make of makers) program.addCommand(make());
  }
  prepare(program);
  return program;
}

const help = new Help();

/** Commander's words, and whether a command cannot do without the option. */
function describe(option: Option): string {
  const isNeeded = option.mandatory && option.defaultValue === undefined;
  return `${help.optionDescription(option)}${isNeeded ? ' (required)' : ''}`;
}

/** The same manner for every command: no abbreviations that guess, errors in our form, code 3 for wrong usage. */
function prepare(command: Command): void {
  command.exitOverride();
  command.helpCommand(false);
  command.showSuggestionAfterError(true);
  command.configureHelp({ minWidthToWrap: 24, optionDescription: describe });
  command.configureOutput({
    writeOut: (text) => process.stdout.write(text.replace(/\n+$/, '\n')),
    outputError: (text, write) => write(`veilsum: USAGE: ${text.replace(/^error: /, '')}`),
  });
  for (const child of command.commands) prepare(child);
}
