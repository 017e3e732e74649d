import { Command } from 'commander';
import { EXIT, usageError } from './exit.ts';
import { print } from './output.ts';
import { examples } from './settings.ts';

interface AuditFlags {
  readonly policy?: string;
  readonly page?: string;
  readonly blobs?: string;
  readonly since?: string;
  readonly genesis?: string;
  readonly json?: boolean;
}

export function auditCommand(): Command {
  return new Command('audit')
    .description(
      "verify a log's files: signatures, tree, cosignatures, every rule of every round; offline, trusting nobody",
    )
    .argument('[folder]', 'the log as a tlog-tiles folder (checkpoint, tile/...)')
    .option('--policy <file>', 'C2SP tlog-policy: keys of the log and its witnesses, learnt by other means')
    .option('--blobs <folder>', 'payloads and sums by hash: ciphertexts are added up again')
    .option('--since <file>', 'a checkpoint seen earlier: the log must extend it')
    .option('--genesis <hash>', "pins genesis; without it the minimums are the log's own")
    .option('--json', 'the report as one JSON object')
    .option('--page <file>', 'write the same auditor as one HTML file for a browser, and audit nothing')
    .addHelpText(
      'after',
      `\nExit codes: 0 verified, 1 violation, 2 cannot decide (files are missing), 3 usage.\n${examples('veilsum audit log --policy policy.txt --genesis 5c0e...', 'veilsum audit log --policy policy.txt --blobs blobs --json', 'veilsum audit --page auditor.html')}`,
    )
    .action(async (folder: string | undefined, flags: AuditFlags) => {
      if (flags.page !== undefined) {
        if (folder !== undefined) throw usageError('--page writes the page and audits nothing: leave the folder out');
        const { writePage } = await import('../audit/page-file.ts');
        print(`${flags.page}: the auditor's page, SHA-256 ${writePage(flags.page)}`);
        return;
      }
      if (folder === undefined || flags.policy === undefined)
        throw usageError("a log's folder and --policy are needed, as in 'veilsum audit log --policy policy.txt'");
      if (flags.genesis !== undefined && !/^[0-9a-f]{64}$/.test(flags.genesis))
        throw usageError('--genesis: 64 hexadecimal digits in lower case');
      const { auditFolder } = await import('../audit/audit-folder.ts');
      const { exitCode, text, json } = await auditFolder({
        folder,
        policyFile: flags.policy,
        blobs: flags.blobs ?? null,
        since: flags.since ?? null,
        genesis: flags.genesis ?? null,
      });
      if (exitCode === EXIT.usage) throw usageError(text.trimEnd());
      // A file that is no policy says nothing of the log: the person is told so, and no verdict.
      if (exitCode === EXIT.refused) (await import('./log-proof.ts')).readPolicy(flags.policy);
      print(flags.json === true ? JSON.stringify(json) : text.trimEnd());
      process.exitCode = exitCode;
    });
}
