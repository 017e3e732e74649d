import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { isScalar, parseDocument, visit, type YAMLParseError } from 'yaml';
import type { z } from 'zod';
import { SecretBytes } from '../../crypto/secret.ts';
import { inertLine } from '../platform/inert-text.ts';
import { makeFolders } from '../platform/make-folders.ts';
import { ConfigError } from './errors.ts';
import { issueWords } from './issue-words.ts';

/** Writes a file whole or not at all, and durably: a new file beside it, synced, renamed over, folder synced. */
export function writeDurably(path: string, content: Uint8Array | string, mode = 0o644): void {
  makeFolders(dirname(path));
  const temporary = `${path}.new`;
  const file = openSync(temporary, 'w', mode);
  try {
    fchmodSync(file, mode); // the mode given to open is masked, and ignored for a file that is left from before
    const bytes = typeof content === 'string' ? Buffer.from(content) : content;
    for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  syncFolder(dirname(path));
}

/** Makes the names in a folder durable. */
export function syncFolder(path: string): void {
  if (process.platform === 'win32') return; // folders cannot be opened there
  const folder = openSync(path, 'r');
  fsyncSync(folder);
  closeSync(folder);
}

/** Overwrites a secret's file with zeros and empties it, durably; unlinking is the caller's. */
export function overwriteFile(path: string): void {
  const file = openSync(path, 'r+');
  try {
    writeSync(file, Buffer.alloc(statSync(path).size));
    fsyncSync(file);
    ftruncateSync(file, 0);
  } finally {
    closeSync(file);
  }
}

/**
 * @param hint - which command writes or explains the file, for whoever has none.
 * @throws ConfigError FILE_MISSING, FILE_UNREADABLE
 */
export function readRequired(path: string, what: string, hint = ''): Buffer {
  if (!existsSync(path))
    throw new ConfigError('FILE_MISSING', `${what} is missing: ${path}${hint === '' ? '' : ` (${hint})`}`);
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new ConfigError('FILE_UNREADABLE', `${what} cannot be read: ${path}`, { cause });
  }
}

/**
 * Reads and validates a YAML or JSON file.
 *
 * @throws ConfigError INVALID with one line per wrong field: its path and what is expected.
 */
export function readValidated<S extends z.ZodType>(path: string, what: string, schema: S, hint = ''): z.output<S> {
  return parseValidated(readRequired(path, what, hint).toString('utf8'), `${what} (${path})`, schema);
}

/** Longest file that is parsed, in characters: JSON, which others hand over, and YAML, which people write here. */
const MAX_JSON_LENGTH = 1 << 20;
const MAX_YAML_LENGTH = 1 << 14;
/** Most characters that may open something in YAML: the parser's time and stack grow with nesting. */
const MAX_YAML_INDICATORS = 1000;

/** The same for a text. @throws ConfigError INVALID */
export function parseValidated<S extends z.ZodType>(text: string, what: string, schema: S): z.output<S> {
  if (text.length > MAX_JSON_LENGTH) throw new ConfigError('INVALID', `${what} is longer than any such file`);
  let value: unknown;
  try {
    value = /^\s*\{/.test(text) ? JSON.parse(text) : parseYaml(text);
  } catch {
    // A flow mapping of YAML looks like JSON at first.
    try {
      value = parseYaml(text);
    } catch (cause) {
      throw new ConfigError('INVALID', `${what} is not valid YAML or JSON: ${syntaxWords(cause)}`, { cause });
    }
  }
  return validate(schema, value, what);
}

/** Reason and line of the first mistake; what the file holds there stays out, it may be secret. */
function syntaxWords(cause: unknown): string {
  const { message, linePos } = cause as YAMLParseError;
  const reason = message
    .split('\n')[0]!
    .replace(/ at line \d+, column \d+:?$/, '')
    .replaceAll(/"[^"]*"?|'[^']*'?/g, '…');
  return inertLine(linePos === undefined ? reason : `line ${linePos[0].line}, column ${linePos[0].col}: ${reason}`);
}

/** YAML without aliases and without equal keys; the library looks for those in quadratic time. */
function parseYaml(text: string): unknown {
  if (text.length > MAX_YAML_LENGTH) throw new RangeError('longer than any file that people write');
  if (text.replaceAll(/[^[{?&*!|>-]/g, '').length > MAX_YAML_INDICATORS) throw new RangeError('nested too deep');
  const document = parseDocument(text, { uniqueKeys: false });
  if (document.errors.length > 0) throw document.errors[0]!;
  visit(document, {
    Map: (_, map) => {
      const keys = map.items.map(({ key }) => {
        if (!isScalar(key)) throw new SyntaxError('a mapping has a key that is no scalar');
        return String(key.value);
      });
      if (new Set(keys).size !== keys.length) throw new SyntaxError('a mapping has a key twice');
    },
  });
  return document.toJS({ maxAliasCount: 0 });
}

/** @throws ConfigError INVALID; names of unknown fields, which may be a stranger's, are spelt out. */
export function validate<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const lines = result.error.issues.map((issue) => `  ${issueWords(issue, schema)}`);
  throw new ConfigError('INVALID', `${what} is not valid:\n${lines.join('\n')}`);
}

/** Writes 32 secret bytes, mode 0600. @throws ConfigError FILE_EXISTS: a key is never overwritten. */
export function writeKeyFile(path: string, key: SecretBytes): void {
  if (existsSync(path)) throw new ConfigError('FILE_EXISTS', `refusing to overwrite a key: ${path}`);
  writeDurably(path, key.bytes, 0o600);
}

/** @throws ConfigError FILE_MISSING, KEY_EXPOSED when others may read it, INVALID unless it holds 32 bytes. */
export function readKeyFile(path: string, name: string): SecretBytes {
  const bytes = readRequired(path, `the ${name}`);
  if (process.platform !== 'win32' && (statSync(path).mode & 0o077) !== 0) {
    throw new ConfigError('KEY_EXPOSED', `others may read ${path}: chmod 600 it, and replace the key if they did`);
  }
  if (bytes.length !== 32) throw new ConfigError('INVALID', `the ${name} must be 32 bytes: ${path}`);
  return new SecretBytes(name, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length));
}
