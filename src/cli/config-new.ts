import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { taskField } from '../../protocols/task.ts';
import { readValidated, writeDurably } from '../config/files.ts';
import { readCard } from '../keys/party-folder.ts';
import { CliError } from './exit.ts';

export interface ConfigRequest {
  readonly tasks: readonly string[];
  /** Tables of a node that trains; null: its updates come from `node submit`. */
  readonly data: { readonly train: string; readonly heldOut: string } | null;
  readonly force: boolean;
}

const ENGINE = `# auto takes node-seal for small updates and the kernel for large ones
engine: auto
# where to bind, if not at the card's address
#listen: 0.0.0.0:7443
`;

/** A copy in the party's own folder: what it takes part in does not change with a file elsewhere. */
function keepTask(folder: string, path: string): string {
  readValidated(path, 'the task file', taskField, "'veilsum task new' writes one");
  const name = basename(path);
  const own = join(folder, name);
  const bytes = readFileSync(path);
  if (existsSync(own) && !readFileSync(own).equals(bytes))
    throw new CliError('FILE_EXISTS', `${own} is another task: give the new one another file name`);
  writeDurably(own, bytes);
  return name;
}

/** Writes `node.yaml` or `recipient.yaml`, commented, with copies of the tasks. @returns the file's path. */
export function writeConfig(folder: string, role: 'node' | 'recipient', request: ConfigRequest): string {
  const card = readCard(join(folder, 'card.json'));
  if (card.role !== role)
    throw new CliError('WRONG_ROLE', `${folder} is the folder of ${card.name} (${card.role}), not of a ${role}`);
  const path = join(folder, `${role}.yaml`);
  if (existsSync(path) && !request.force)
    throw new CliError('FILE_EXISTS', `${path} is there already: --force replaces it`);
  const tasks = request.tasks.map((task) => keepTask(folder, task));
  const { data } = request;
  const lines = [
    role === 'node'
      ? '# task files, in this folder, that the site takes part in'
      : '# task files, in this folder; the first one makes the first model',
    `tasks: ${JSON.stringify(tasks)}`,
    ...(role === 'node' ? ["# what the site allows; 'veilsum policy new' writes it", 'policy: policy.yaml'] : []),
    ...(role === 'node' ? dataLines(data) : []),
  ];
  writeDurably(path, `${lines.join('\n')}\n${ENGINE}`);
  return path;
}

function dataLines(data: ConfigRequest['data']): string[] {
  const what = '# tables to train on and to evaluate with, CSV with a header';
  if (data === null)
    return [
      `${what}; without them updates come from 'veilsum node submit'`,
      '#data: {train: train.csv, heldOut: held-out.csv}',
    ];
  return [what, `data: ${JSON.stringify(data)}`];
}
