import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import type { z } from 'zod';
import { CliError, usageError } from './exit.ts';

/** The folder that a command works in. Where it may be left out, it is the current one. */
export function dirOption(what: string): Option {
  return new Option('--dir <folder>', what).env('VEILSUM_DIR').default('.', 'the current folder');
}

export function folderOf(command: Command): string {
  return resolve(String(command.opts()['dir'] ?? '.'));
}

/** Command line over environment over file over default. Each option of the command is a field of the schema. */
export async function settingsOf<S extends z.ZodObject>(
  command: Command,
  schema: S,
  file: string | null,
): Promise<z.output<S>> {
  const { readValidated } = await import('../config/files.ts');
  const { whatIsWrong } = await import('../config/issue-words.ts');
  const given: Record<string, unknown> = {};
  for (const name of Object.keys(schema.shape)) {
    const value = command.getOptionValue(name);
    if (value !== undefined && command.getOptionValueSource(name) !== 'default') given[name] = value;
  }
  const path = file === null ? null : join(folderOf(command), file);
  const inFile = path !== null && existsSync(path) ? readValidated(path, 'the settings', schema.partial()) : {};
  const result = schema.safeParse({ ...inFile, ...given });
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => {
    const field = issue.path.join('.');
    return `  ${field === '' ? '(all)' : flagOf(command, field)}: ${whatIsWrong(issue, schema)}`;
  });
  throw usageError(`settings of 'veilsum ${nameOf(command)}' are not valid:\n${lines.join('\n')}`);
}

/** How the user names a setting: its flag, and its variable where it has one. */
function flagOf(command: Command, field: string): string {
  const option = command.options.find((o) => o.attributeName() === field.split('.')[0]);
  if (option === undefined) return field;
  return option.envVar === undefined ? (option.long ?? field) : `${option.long} (${option.envVar})`;
}

export function nameOf(command: Command): string {
  const parent = command.parent?.parent ? `${nameOf(command.parent)} ` : '';
  return `${parent}${command.name()}`;
}

/** Whole and decimal numbers arrive as text from flags and environment, as numbers from files. */
export function numberOption(flags: string, description: string, env?: string): Option {
  const option = new Option(flags, description).argParser((text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value)) throw usageError(`${flags}: '${text}' is not a number`);
    return value;
  });
  return env === undefined ? option : option.env(env);
}

/** Where a party's server binds, for those whose card names the address of a gateway, a load balancer or a host. */
export function listenOption(): Option {
  return new Option('--listen <host:port>', "address to bind, as 0.0.0.0:7443; default: the card's address").env(
    'VEILSUM_LISTEN',
  );
}

/** --listen where it is given, checked. Commands whose file may name it too put this one first. */
export async function listenOf(command: Command): Promise<string | undefined> {
  const { addressField } = await import('../config/federation.ts');
  const given = command.opts()['listen'] as string | undefined;
  if (given === undefined || addressField.safeParse(given).success) return given;
  throw usageError('--listen (VEILSUM_LISTEN): must be host:port, the port at most 65535');
}

/** For options that may be given again: collects all values. */
export function listOption(flags: string, description: string): Option {
  return new Option(flags, description).argParser((value: string, earlier: string[] | undefined) => [
    ...(earlier ?? []),
    value,
  ]);
}

/** Help text that shows a command in use. */
export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}`).join('\n')}`;
}

/**
 * Refuses to run a party in another party's folder: two processes in one folder would each act for it.
 *
 * @throws CliError WRONG_ROLE; ConfigError where the folder is no party's.
 */
export async function requireRole(folder: string, role: string): Promise<void> {
  const { readCard } = await import('../keys/party-folder.ts');
  const path = join(folder, 'card.json');
  if (!existsSync(path)) return; // opening the folder says what is missing
  const card = readCard(path);
  if (card.role === role) return;
  throw new CliError('WRONG_ROLE', `${folder} is the folder of ${card.name} (${card.role}), not of a ${role}`);
}
