import { existsSync, readFileSync, statSync } from 'node:fs';
import { z } from 'zod';
import { ConnectorError } from './errors.ts';

/**
 * Where a password, token or key is: in a variable of the environment or in a file that only its owner reads. Settings
 * files name the place and never hold the secret, so they can be shown and kept in version control.
 */
export const secretField = z.union([
  z.strictObject({ env: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of a variable') }),
  z.strictObject({ file: z.string().min(1) }),
]);
export type SecretSetting = z.infer<typeof secretField>;

/**
 * The secret as text, because that is what the client libraries take: it stays in this process's memory until they let
 * it go. Surrounding line ends are cut off.
 *
 * @param what - in messages: 'the password of accounts'.
 * @param resolve - of a path, which is relative to the settings file.
 * @throws ConnectorError SECRET_MISSING, SECRET_EXPOSED.
 */
export function readSecret(setting: SecretSetting, what: string, resolve: (path: string) => string): string {
  if ('env' in setting) {
    const value = process.env[setting.env];
    if (value !== undefined && value !== '') return value;
    throw new ConnectorError('SECRET_MISSING', `${what}: set the variable ${setting.env}`);
  }
  const path = resolve(setting.file);
  if (!existsSync(path)) throw new ConnectorError('SECRET_MISSING', `${what}: there is no file ${path}`);
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
    throw new ConnectorError(
      'SECRET_EXPOSED',
      `${what}: others may read ${path}; chmod 600 it, and replace the secret`,
    );
  }
  const text = readFileSync(path, 'utf8').replace(/^[\r\n]+|[\r\n]+$/g, '');
  if (text === '') throw new ConnectorError('SECRET_MISSING', `${what}: the file ${path} is empty`);
  return text;
}
