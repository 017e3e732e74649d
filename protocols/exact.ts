import { z } from 'zod';

/** Says whether a decoded JSON value is of one form. */
export type Guard<T> = (value: unknown) => value is T;
type Of<G> = G extends Guard<infer T> ? T : never;

/**
 * Shapes of what a log holds by the thousand, judged by plain predicates: the same strictness as zod's strict objects, in a
 * quarter of the time, which every reader spends on every leaf.
 *
 * Law: accepts what the strict zod object of the same fields accepts. An object has exactly these keys.
 */
export function exact<S extends Readonly<Record<string, Guard<unknown>>>>(
  shape: S,
): Guard<{ -readonly [K in keyof S]: Of<S[K]> }> {
  const fields = Object.entries(shape);
  return (value): value is { -readonly [K in keyof S]: Of<S[K]> } => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
    if (Object.keys(value).length !== fields.length) return false;
    for (const [name, is] of fields) {
      if (!Object.hasOwn(value, name) || !is((value as Readonly<Record<string, unknown>>)[name])) return false;
    }
    return true;
  };
}

export function textOf(form: RegExp): Guard<string> {
  return (value): value is string => typeof value === 'string' && form.test(value);
}

/** Safe integers in a range, both ends included. */
export function integerFrom(least: number, most = Number.MAX_SAFE_INTEGER): Guard<number> {
  return (value): value is number =>
    Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
}

export function listOf<T>(is: Guard<T>, least: number, most: number): Guard<T[]> {
  return (value): value is T[] => {
    if (!Array.isArray(value) || value.length < least || value.length > most) return false;
    for (let i = 0; i < value.length; i++) if (!is(value[i])) return false;
    return true;
  };
}

/** The predicate as a zod schema, for shapes that are made of both. */
export function schemaOf<T>(is: Guard<T>): z.ZodType<T> {
  return z.custom<T>(is);
}
