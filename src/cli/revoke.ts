import { Command } from 'commander';
import { print } from './output.ts';
import { dirOption, examples, folderOf } from './settings.ts';

export function revokeCommand(): Command {
  return new Command('revoke')
    .description('revoke a party for ever: from its leaf on, it is in no set and no quorum')
    .argument('<name>', "the party's name")
    .addOption(dirOption("the founders' folder"))
    .requiredOption('--reason <label>', 'why, for the log: a few words, public')
    .addHelpText('after', examples('veilsum revoke node-eu --reason "key lost" --dir founders'))
    .action(async (name: string, options: { reason: string }, command: Command) => {
      const { labelField } = await import('../../protocols/fields.ts');
      const { usageError } = await import('./exit.ts');
      const { asking, openCaller, requireOfficer } = await import('./caller.ts');
      const { revokeLeaf } = await import('../keys/found.ts');
      const { nodePrimitives } = await import('../platform/primitives-node.ts');
      const { LogService } = await import('../grpc/services.ts');
      if (!labelField.safeParse(options.reason).success) {
        throw usageError('--reason: letters, digits, blanks and . _ : / - only, at most 128');
      }
      const folder = folderOf(command);
      const caller = await openCaller(folder);
      requireOfficer(caller, 'revoking');
      const leaf = revokeLeaf(nodePrimitives, folder, caller.federation, name, options.reason, Date.now());
      const { coordinator } = caller;
      const { leafIndex } = await asking('the coordinator', coordinator, () =>
        coordinator.call(LogService.append, { leaf }),
      );
      print(`${name} is revoked (leaf ${leafIndex}).`);
    });
}
