import { Command } from 'commander';
import { print } from './output.ts';
import { dirOption, examples, folderOf, listOption, numberOption } from './settings.ts';

const PROPOSAL = 'proposal.json from the officer';

function showCommand(): Command {
  return new Command('show')
    .description('who holds the keys of coming rounds')
    .addOption(dirOption("the founders' folder, or any party's"))
    .addHelpText('after', examples('veilsum quorum show --dir founders'))
    .action(async (_options: unknown, command: Command) => {
      const { showQuorum } = await import('./quorum-change.ts');
      await showQuorum(folderOf(command), print);
    });
}

function proposeCommand(): Command {
  return new Command('propose')
    .description('write down a new quorum, for the present members to approve')
    .addOption(dirOption("the founders' folder"))
    .addOption(
      listOption('--member <name>', 'a member of the new quorum, enrolled; give all of them').makeOptionMandatory(),
    )
    .addOption(numberOption('--threshold <t>', 'members that open a sum together').makeOptionMandatory())
    .option('--out <file>', 'where the proposal goes', 'proposal.json')
    .addHelpText(
      'after',
      examples('veilsum quorum propose --member hub --member north --member south --threshold 2 --dir founders'),
    )
    .action(async (options: { member: string[]; threshold: number; out: string }, command: Command) => {
      const { proposeQuorum } = await import('./quorum-change.ts');
      await proposeQuorum(folderOf(command), options, print);
    });
}

function approveCommand(): Command {
  return new Command('approve')
    .description("sign for a proposal with a present member's key, after reading what it changes")
    .argument('<proposal>', PROPOSAL)
    .addOption(dirOption("the member's folder"))
    .option('--out <file>', 'where the approval goes; default: NAME.approval.json')
    .option('-y, --yes', 'do not ask')
    .addHelpText('after', examples('veilsum quorum approve proposal.json --dir parties/member-1'))
    .action(async (proposal: string, options: { out?: string; yes?: boolean }, command: Command) => {
      const { approveQuorum } = await import('./quorum-change.ts');
      await approveQuorum(
        folderOf(command),
        proposal,
        { out: options.out ?? null, isAsked: options.yes !== true },
        print,
      );
    });
}

function changeCommand(): Command {
  return new Command('change')
    .description('put an approved proposal into the log: coming rounds use the new quorum')
    .argument('<proposal>', PROPOSAL)
    .argument('<approvals...>', "the members' approvals, at least the present threshold")
    .addOption(dirOption("the founders' folder"))
    .addHelpText('after', examples('veilsum quorum change proposal.json *.approval.json --dir founders'))
    .action(async (proposal: string, approvals: string[], _options: unknown, command: Command) => {
      const { changeQuorum } = await import('./quorum-change.ts');
      await changeQuorum(folderOf(command), proposal, approvals, print);
    });
}

export function quorumCommand(): Command {
  return new Command('quorum')
    .description(
      'members that hold the keys of rounds: they join and leave between rounds, approved by those there are',
    )
    .addHelpText(
      'after',
      `
A new member is enrolled first, like every party ('veilsum keys new --role member', 'veilsum keys join', 'veilsum enrol').
Sites go on only if their policy.yaml says 'quorumChanges: accept'. Who cosigns the log stays as the founders fixed it:
members that leave keep their witness running, or count among the witnesses that may be missing.
`,
    )
    .addCommand(showCommand())
    .addCommand(proposeCommand())
    .addCommand(approveCommand())
    .addCommand(changeCommand());
}
