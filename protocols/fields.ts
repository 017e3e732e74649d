import { z } from 'zod';
import { integerFrom, textOf } from './exact.ts';

/** Field shapes that several leaves share. All strict: one spelling each, bounded in length. */

/** As many characters of a class, written out: counting them takes half as long again. */
const times = (one: string, count: number): string => (count > 128 ? `${one}{${count}}` : one.repeat(count));

const HASH = new RegExp(`^${times('[0-9a-f]', 64)}$`);
const NAME = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** A party's name: unique in a log, never reused. Printable and safe in terminals, paths and HTML. */
export const nameField = z.string().regex(NAME);
/** 32 bytes in lower-case hexadecimal. */
export const hashField = z.string().regex(HASH);
export const countField = z.int().min(0);
/** Signed or unsigned integer too large for a JSON number. */
export const bigField = z.string().regex(/^(?:0|[1-9][0-9]{0,38})$/);
/** A short label chosen by people: task, window, region, organisation. */
export const labelField = z.string().regex(/^[A-Za-z0-9](?:[A-Za-z0-9 ._:/-]{0,126}[A-Za-z0-9])?$/);

/** Last digits whose unused bits are zero, by bytes in the last group. */
const LAST_DIGIT = ['[A-Za-z0-9+/]', '[AQgw]', '[AEIMQUYcgkosw048]'] as const;

/** Canonical base64 of exactly `bytes` bytes: the padding's unused bits are zero, so equal strings are equal bytes. */
function base64Field(bytes: number): z.ZodString {
  return z.string().regex(base64Form(bytes));
}

function base64Form(bytes: number): RegExp {
  const digits = Math.ceil((bytes * 4) / 3);
  const padding = '='.repeat(Math.ceil(bytes / 3) * 4 - digits);
  return new RegExp(`^${times('[A-Za-z0-9+/]', digits - 1)}${LAST_DIGIT[bytes % 3]}${padding}$`);
}

/** Ed25519 or X25519 public key. */
export const keyField = base64Field(32);
/** Name of somebody's key in signed notes: a URL without its scheme, no white space and no plus. */
export const keyNameField = z.string().regex(/^[A-Za-z0-9](?:[A-Za-z0-9._~:/-]{0,198}[A-Za-z0-9])?$/);
/** X-Wing public key: ML-KEM-768 encapsulation key (1,184 bytes) then X25519 (32 bytes). */
export const kemKeyField = base64Field(1216);
export const signatureField = base64Field(64);

/** The same forms as predicates, for leaves that there are many of. */
export const isHash = textOf(HASH);
export const isName = textOf(NAME);
export const isKey = textOf(base64Form(32));
export const isSignature = textOf(base64Form(64));
export const isCount = integerFrom(0);
