import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readAuditInput } from '../audit/audit-folder.ts';
import { writeDurably } from '../config/files.ts';
import { contributionsOf } from '../contributions/contributions.ts';
import { ContributionError } from '../contributions/errors.ts';
import { contributionsHtml, contributionsJson, contributionsText } from '../contributions/report.ts';
import { CliError, EXIT, usageError } from './exit.ts';
import { readPolicy } from './log-proof.ts';
import { readRecipientConfig } from './recipient-config.ts';

export interface ContributionRun {
  readonly folder: string;
  readonly policy: string;
  readonly genesis?: string;
  readonly dir?: string;
  readonly json?: boolean;
  readonly html?: string;
}

/** Reads, verifies and reports. Exit codes are the audit's: 1 for a log that does not verify, 2 where files are missing. */
export async function runContributions(run: ContributionRun, say: (line: string) => void): Promise<void> {
  const { folder, policy, genesis = null, dir, json, html } = run;
  readPolicy(policy);
  const input = readAuditInput({ folder, policyFile: policy, genesis });
  if ('exitCode' in input) throw refusedFiles(input.text.trimEnd(), input.exitCode);
  if (dir !== undefined && !existsSync(join(dir, 'recipient.yaml')))
    throw new CliError(
      'FILE_MISSING',
      `${dir} is no recipient's folder (no recipient.yaml): sums are where they were opened`,
    );
  const recipient = dir === undefined ? null : { folder: dir, tasks: readRecipientConfig(dir).tasks };
  const report = await contributionsOf({ input, recipient }).catch((error) => {
    if (error instanceof ContributionError && error.code === 'FILES_MISSING')
      throw new CliError(error.code, error.message, { cause: error, exitCode: EXIT.undecided });
    throw error;
  });
  if (html !== undefined) {
    writeDurably(html, await contributionsHtml(report));
    say(`${html}: contributions of ${report.nodes.length} nodes`);
  } else say(json === true ? JSON.stringify(contributionsJson(report)) : contributionsText(report));
}

function refusedFiles(text: string, exitCode: 2 | 3): CliError {
  return exitCode === EXIT.usage ? usageError(text) : new CliError('FILES_MISSING', text, { exitCode });
}
