import type { z } from 'zod';
import { inertLine } from '../platform/inert-text.ts';

type Issue = z.core.$ZodIssue;

/** One wrong field in words: its path, and what is expected. Names of unknown fields, which may be a stranger's, are spelt out. */
export function issueWords(issue: Issue, schema: z.ZodType): string {
  const where = issue.path.join('.') || '(top level)';
  return inertLine(`${where}: ${whatIsWrong(issue, schema)}`);
}

/** The message alone. */
export function whatIsWrong(issue: Issue, schema: z.ZodType): string {
  if (issue.code === 'unrecognized_keys') return unknownWords(issue.keys, fieldsAt(schema, issue.path));
  const plain = /^Invalid input: expected ([^,]+), received (.+)$/.exec(issue.message);
  if (issue.code === 'invalid_value' && issue.values.length > 1)
    return `must be one of ${issue.values.map(String).join(', ')}`;
  const choices = /^Invalid discriminator value\. Expected (.+)$/.exec(issue.message)?.[1];
  if (choices !== undefined) return `must be one of ${choices.replaceAll("'", '').replaceAll(' | ', ', ')}`;
  if (plain === null) return issue.message;
  return plain[2] === 'undefined' ? `is missing (${plain[1]})` : `must be ${plain[1]}, is ${plain[2]}`;
}

function unknownWords(unknown: readonly string[], valid: readonly string[]): string {
  const named = unknown.map((key) => {
    const near = valid.find((field) => isNear(key, field));
    return near === undefined ? `'${key.slice(0, 80)}'` : `'${key}' (did you mean ${near}?)`;
  });
  const choice = valid.length === 0 ? '' : `; valid are ${valid.join(', ')}`;
  return `unknown ${unknown.length === 1 ? 'field' : 'fields'} ${named.join(', ')}${choice}`;
}

/** Field names of the object at a path; none where the schema there is no plain object. */
function fieldsAt(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  let at = plainOf(schema);
  for (const step of path) at = plainOf((at as Partial<z.ZodObject> | undefined)?.shape?.[step as string]);
  const { shape } = (at ?? {}) as Partial<z.ZodObject>;
  return shape === undefined ? [] : Object.keys(shape);
}

/** Without what makes a field optional, nullable or filled in. */
function plainOf(schema: unknown): unknown {
  let at = schema as { readonly def?: { readonly innerType?: unknown } } | undefined;
  while (at?.def?.innerType !== undefined) at = at.def.innerType as typeof at;
  return at;
}

/** At most two letters lost, added or wrong (Levenshtein), in whatever case. */
function isNear(given: string, field: string): boolean {
  const [a, b] = [given.toLowerCase(), field.toLowerCase()];
  if (Math.abs(a.length - b.length) > 2 || a.length > 64) return false;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]! <= 2;
}
