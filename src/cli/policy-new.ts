import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { fromBase64 } from '../../crypto/encoding.ts';
import { isRejection } from '../../protocols/errors.ts';
import { parseVerifiedGenesis } from '../../protocols/genesis.ts';
import { type SitePolicy, sitePolicyField } from '../../protocols/site-policy.ts';
import { chargeOfTask, taskField } from '../../protocols/task.ts';
import { ConfigError } from '../config/errors.ts';
import { readFederation } from '../config/federation.ts';
import { readValidated, validate, writeDurably } from '../config/files.ts';
import { FOLDER } from '../keys/party-folder.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';

/** What each line means, above it. */
const COMMENTS: Readonly<Record<keyof SitePolicy, string>> = {
  genesis: 'the log that this site belongs to, and with it quorum, witnesses and minimums',
  tasks: 'tasks that this site takes part in',
  recipients: 'who may open a sum with this site in it',
  minCohort: 'fewest nodes in a sum',
  minOrganisations: 'fewest organisations in a sum',
  minHonest: 'nodes whose noise alone must be enough',
  largestSharePercent: 'largest part of a sum that one organisation may have, in percent',
  budgetRhoNano: 'privacy that all rounds together may cost this site, zCDP in units of 1e-9',
  allowCheckSums: 'whether plain updates may be written to a private folder: for demonstrations only',
  minThreshold: 'fewest members that may be able to open a sum together',
  quorumChanges: 'accept or refuse rounds after members joined or left, as t of them approved',
};

/**
 * @param rounds - of the task that the budget is enough for; null: the log's whole budget.
 * @throws ConfigError FILE_EXISTS unless `force`, FILE_MISSING, INVALID. @returns the file's path.
 */
export function writePolicy(folder: string, taskFile: string, rounds: number | null, force: boolean): string {
  const path = join(folder, 'policy.yaml');
  if (existsSync(path) && !force) throw new ConfigError('FILE_EXISTS', `${path} is there already: --force replaces it`);
  const federation = readFederation(join(folder, FOLDER.federation));
  const genesis = parseVerifiedGenesis(nodePrimitives, fromBase64(federation.genesis));
  if (isRejection(genesis))
    throw new ConfigError('INVALID', `the federation file holds no valid genesis: ${genesis.why}`);
  const task = readValidated(taskFile, 'the task file', taskField);
  const policy = validate(
    sitePolicyField,
    {
      genesis: federation.genesisHash,
      tasks: [task.task],
      recipients: [...task.recipients],
      minCohort: task.minCohort,
      minOrganisations: task.minOrganisations,
      minHonest: task.minHonest,
      largestSharePercent: 50,
      budgetRhoNano: rounds === null ? genesis.budget.rhoNano : chargeOfTask(task) * rounds,
      allowCheckSums: task.checkSums,
      minThreshold: genesis.threshold,
      quorumChanges: 'refuse',
    },
    'the policy',
  );
  const lines = Object.entries(policy).map(([field, value]) => {
    return `# ${COMMENTS[field as keyof SitePolicy]}\n${stringify({ [field]: value })}`;
  });
  writeDurably(path, lines.join(''));
  return path;
}
