import { domainToASCII } from 'node:url';
import { MatchingError } from './errors.ts';
import { ATTACHED_FORMS, LEGAL_PREFIXES, LEGAL_SUFFIXES } from './legal-forms.ts';
import type { NameKind } from './name-kinds.ts';

/**
 * One spelling for all spellings of an organisation's name, or of its web domain, by public rules and nothing else: no
 * dictionary, no similarity, no locale. The rules are written out in the folder's README.
 *
 * Laws (property tests): deterministic; idempotent; the result holds letters, digits and their marks only.
 */

/** Version of the rules, part of every key that is made from their results: another version never matches by accident. */
export const CANONICAL_VERSION = 1;

/** Longest spelling, in UTF-16 code units: beyond it is no name, but free text in the wrong column. */
const MAX_LENGTH = 512;

/** Letters that NFKD leaves whole although people write them both ways. */
const LETTERS: Readonly<Record<string, string>> = {
  ß: 'ss',
  æ: 'ae',
  œ: 'oe',
  ø: 'o',
  đ: 'd',
  ð: 'd',
  ħ: 'h',
  ı: 'i',
  ł: 'l',
  þ: 'th',
  ς: 'σ',
};
const FOLDED = new RegExp(`[${Object.keys(LETTERS).join('')}]`, 'gu');
/** Accents of Latin, Greek and Cyrillic. Vowel signs of other scripts are letters to their readers, and stay. */
const ACCENTS = /[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]/gu;
/** What stands for "nothing" in tables. */
const BLANK = /^[\s\p{P}]*(?:n[/.]?a|none|null|unknown|nan|tbd)?[\s\p{P}]*$/iu;
/** Most words that one legal form is written in: "S. de R. L. de C. V." */
const FORM_WORDS_MAX = 7;

/** @returns the canonical spelling, or null for a blank cell. @throws MatchingError NAME_TOO_LONG */
export function canonicalOf(kind: NameKind, text: string): string | null {
  if (text.length > MAX_LENGTH) {
    throw new MatchingError(
      'NAME_TOO_LONG',
      `a ${kind} is longer than ${MAX_LENGTH} characters: is this the right column?`,
    );
  }
  const canonical = kind === 'name' ? canonicalName(text) : canonicalDomain(text);
  return BLANK.test(text) || BLANK.test(canonical) ? null : canonical;
}

function canonicalName(text: string): string {
  const folded = fold(text)
    .replaceAll('&', ' and ')
    .replaceAll(/['’ʼ`´]/gu, '')
    // S.p.A., G.m.b.H.: letters with dots between them are one word
    .replaceAll(/(?<![\p{L}\p{N}\p{M}])\p{L}(?:\.\s?\p{L}(?![\p{L}\p{N}\p{M}]))+/gu, (initials) =>
      initials.replaceAll(/[.\s]/gu, ''),
    );
  const words = folded.split(/[^\p{L}\p{N}\p{M}]+/u).filter((word) => word !== '');
  return withoutAttached(withoutForms(words).join(''));
}

/** Case, accents, compatibility forms: the same text for all ways to type it. */
function fold(text: string): string {
  const plain = (part: string): string => part.normalize('NFKD').replaceAll(ACCENTS, '');
  const lower = plain(plain(text.toWellFormed()).toLowerCase()).replaceAll(FOLDED, (letter) => LETTERS[letter]!);
  // Once more: a capital may only now have become a letter that falls apart or is in the table.
  return plain(lower.toLowerCase());
}

/** Without legal forms at the end and the beginning; the last word is never taken. */
function withoutForms(words: readonly string[]): readonly string[] {
  let left = words;
  while (left.length > 1) {
    // The longest form first: "& Co. KG" is one, not a KG called "& Co."
    const most = Math.min(FORM_WORDS_MAX, left.length - 1);
    const from = left.findIndex((_, at) => at >= left.length - most && LEGAL_SUFFIXES.has(left.slice(at).join('')));
    if (from > 0) left = left.slice(0, from);
    else if (LEGAL_PREFIXES.has(left[0]!)) left = left.slice(1);
    else break;
  }
  return left;
}

/** Without forms that Chinese, Japanese and Korean names carry without a blank. */
function withoutAttached(name: string): string {
  let left = name.normalize('NFKD');
  for (;;) {
    const form = ATTACHED_FORMS.find(
      (attached) => left.length > attached.length && (left.startsWith(attached) || left.endsWith(attached)),
    );
    if (form === undefined) return left;
    left = left.startsWith(form) ? left.slice(form.length) : left.slice(0, -form.length);
  }
}

/**
 * The host of a URL, of an address of mail or of a bare domain, in its DNS form: lower case, IDNA (UTS 46) to ASCII,
 * without `www.`, port and final dot. Subdomains stay: which of them are the same organisation no rule can say.
 */
function canonicalDomain(text: string): string {
  const bare = text
    .normalize('NFKC')
    .trim()
    .replace(/^[a-z][a-z0-9+.-]*:\/\//iu, '');
  const host = bare
    .split(/[/?#\\]/u)[0]!
    .replace(/^.*@/u, '')
    .replace(/:\d*$/u, '');
  const ascii = domainToASCII(host.replace(/\.+$/u, '').trim());
  return ascii.replace(/^(?:www\.)+(?=.*\.)/u, '');
}
