import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import type { Body } from '../../protocols/leaves.ts';
import { type SitePolicy, sitePolicyField } from '../../protocols/site-policy.ts';
import { chargeOfTask, type Task, taskField } from '../../protocols/task.ts';
import { ConfigError } from '../config/errors.ts';
import { readFederation } from '../config/federation.ts';
import { readValidated, validate, writeDurably } from '../config/files.ts';
import { FOLDER } from '../keys/party-folder.ts';
import { epsilonOf } from '../training/budget.ts';
import { genesisOf } from './federation-file.ts';
import { epsilonText } from './output.ts';

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
  maskingNone:
    'accept or refuse rounds without pairwise masks: this site then shares its key before it knows who else is in the sum, ' +
    'and largestSharePercent is not asked',
  quorumChanges: 'accept or refuse rounds after members joined or left, as t of them approved',
};

/** What a budget means to people. */
function epsilonWords(rhoNano: number, { budget }: Body<'genesis'>, task: Task): string {
  const epsilon = epsilonText(epsilonOf(rhoNano, budget.deltaExponent, budget.renyiOrder));
  const rounds = Math.floor(rhoNano / chargeOfTask(task));
  return `: here epsilon ${epsilon} at delta 1e-${budget.deltaExponent} per ${budget.unit}, ${rounds} rounds of ${task.task}`;
}

export interface PolicyFlags {
  readonly force?: boolean;
  /** Take part in rounds without pairwise masks, under their weaker claim. */
  readonly acceptMaskingNone?: boolean;
}

/**
 * @param rounds - of the task that the budget is enough for; null: the log's whole budget.
 * @throws ConfigError FILE_EXISTS unless `force`, FILE_MISSING, INVALID. @returns the file's path.
 */
export function writePolicy(
  folder: string,
  taskFile: string,
  rounds: number | null,
  { force = false, acceptMaskingNone = false }: PolicyFlags = {},
): string {
  const path = join(folder, 'policy.yaml');
  const task = readValidated(taskFile, 'the task file', taskField, "'veilsum task new' writes one");
  if (existsSync(path) && !force) throw new ConfigError('FILE_EXISTS', `${path} is there already: --force replaces it`);
  const federation = readFederation(join(folder, FOLDER.federation));
  const genesis = genesisOf(federation);
  const budget = rounds === null ? genesis.budget.rhoNano : chargeOfTask(task) * rounds;
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
      budgetRhoNano: budget,
      allowCheckSums: task.checkSums,
      minThreshold: genesis.threshold,
      quorumChanges: 'refuse',
      ...(task.oneShot === undefined && !acceptMaskingNone
        ? {}
        : { maskingNone: acceptMaskingNone ? 'accept' : 'refuse' }),
    },
    'the policy',
  );
  const lines = Object.entries(policy).map(([field, value]) => {
    const more = field === 'budgetRhoNano' ? epsilonWords(budget, genesis, task) : '';
    return `# ${COMMENTS[field as keyof SitePolicy]}${more}\n${stringify({ [field]: value })}`;
  });
  writeDurably(path, lines.join(''));
  return path;
}
