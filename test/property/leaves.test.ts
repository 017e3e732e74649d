import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DOMAIN } from '../../crypto/domain.ts';
import { canonicalBytes, fromUtf8, type Json, parseCanonical, toBase64, utf8 } from '../../crypto/encoding.ts';
import { sign, verify } from '../../crypto/signature.ts';
import { isRejection } from '../../protocols/errors.ts';
import { COMMON_LEAF, type Kind, parseShape } from '../../protocols/leaves.ts';
import { decodeLeaf, verifyLeaf } from '../../protocols/verified.ts';
import { PaperLog, p } from '../reference/paper-log.ts';

/** A kind that is missing here does not compile. */
const EVERY: Readonly<Record<Kind, true>> = {
  genesis: true,
  enrol: true,
  revoke: true,
  'tls-key': true,
  quorum: true,
  announce: true,
  'round-key': true,
  model: true,
  open: true,
  upload: true,
  'one-shot': true,
  close: true,
  confirm: true,
  ready: true,
  complaint: true,
  reseal: true,
  decide: true,
  answer: true,
  release: true,
  abort: true,
};
const KINDS = Object.keys(EVERY) as Kind[];

/** One leaf of every kind, as honest parties write it. */
const leaves = new Map<Kind, Uint8Array>(
  PaperLog.everyKind().leaves.map((bytes) => [JSON.parse(fromUtf8(bytes)).kind, bytes]),
);
const parse = (bytes: Uint8Array) => JSON.parse(fromUtf8(bytes));
const codeOf = (bytes: Uint8Array): string => {
  const leaf = decodeLeaf(bytes);
  return isRejection(leaf) ? leaf.rejected : 'decoded';
};

it('has a sample of every kind', () => {
  expect([...leaves.keys()].sort()).toEqual([...KINDS].sort());
});

describe('form (P22)', () => {
  it.each(KINDS)('%s: decode is the inverse of canonical encoding', (kind) => {
    const bytes = leaves.get(kind)!;
    expect(codeOf(bytes)).toBe('decoded');
    expect(canonicalBytes(decodeLeaf(bytes) as unknown as Json)).toEqual(bytes);
  });

  it.each(KINDS)('%s: an unknown, missing or renamed field is refused anywhere', (kind) => {
    const leaf = parse(leaves.get(kind)!);
    for (const path of objects(leaf)) {
      const extended = structuredClone(leaf);
      Object.assign(at(extended, path) as object, { zzz: 1 });
      expect([path, codeOf(canonicalBytes(extended))]).toEqual([path, 'MALFORMED']);
      for (const field of Object.keys(at(leaf, path) as object)) {
        const cut = structuredClone(leaf);
        delete (at(cut, path) as Record<string, unknown>)[field];
        expect([path, field, codeOf(canonicalBytes(cut))]).not.toEqual([path, field, 'decoded']);
      }
    }
  });

  it('prototype pollution is an unknown field', () => {
    const text = fromUtf8(leaves.get('ready')!);
    for (const key of ['__proto__', 'constructor', 'prototype']) {
      const forged = `{"${key}":{"v":1},${text.slice(1)}`;
      expect([key, codeOf(utf8(forged))]).not.toEqual([key, 'decoded']);
      const inner = text.replace('"body":{', `"body":{"${key}":{"close":"x"},`);
      expect([key, codeOf(utf8(inner))]).not.toEqual([key, 'decoded']);
    }
    expect(({} as { close?: string }).close).toBeUndefined();
  });

  it('no other spelling of a leaf is one', () => {
    const text = fromUtf8(leaves.get('release')!);
    const spellings = [
      ` ${text}`,
      `${text}\n`,
      `\ufeff${text}`,
      text.replace('"v":1', '"v":1.0'),
      text.replace('"v":1', '"v":1e0'),
      text.replace('"v":1', '"v": 1'),
      text.replace('"v":1', '"v":1,"v":1'),
      text.replace('release', '\\u0072elease'),
      text.replace('"actor"', '"Actor"'),
    ];
    for (const spelling of spellings) expect([spelling.slice(0, 20), codeOf(utf8(spelling))]).not.toContain('decoded');
    expect(codeOf(utf8(text))).toBe('decoded');
  });

  it.each(['upload', 'confirm'] as const)('%s: the pattern of its text says what parsing it says', (kind) => {
    const original = parse(leaves.get(kind)!);
    const values: unknown[] = [
      0,
      1,
      -1,
      2 ** 30,
      2 ** 30 + 1,
      2 ** 53 - 1,
      null,
      '',
      'a',
      'A',
      '\u00e9',
      '"',
      [],
      {},
      true,
    ];
    for (const path of paths(original)) {
      const there = at(original, path);
      const texts = typeof there === 'string' ? [`${there}a`, there.slice(1), there.toUpperCase(), `${there}\n`] : [];
      const lists = Array.isArray(there) ? [there.slice(1), [...there, ...there], Array(265).fill(there[0])] : [];
      for (const value of [...values, ...texts, ...lists, there]) {
        const changed = structuredClone(original);
        Object.assign(at(changed, path.slice(0, -1)) as object, { [path.at(-1)!]: value });
        const bytes = canonicalBytes(changed);
        const accepted = parseShape(parseCanonical(bytes, 65_535)).ok;
        // Other kinds are for the parser.
        const isKind = changed.kind === kind;
        expect([path, value, COMMON_LEAF.test(fromUtf8(bytes))]).toEqual([path, value, accepted && isKind]);
      }
    }
    expect(COMMON_LEAF.test(`${fromUtf8(leaves.get(kind)!)}\n`)).toBe(false);
    expect(COMMON_LEAF.test(JSON.stringify(Object.fromEntries(Object.entries(original).reverse())))).toBe(false);
  });

  it('arbitrary JSON and arbitrary bytes never throw, and are no leaf', () => {
    fc.assert(fc.property(fc.jsonValue(), (json) => codeOf(canonicalOr(json)) !== 'decoded'));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => codeOf(bytes) !== 'decoded'));
  });
});

function canonicalOr(json: unknown): Uint8Array {
  try {
    return canonicalBytes(json as Json);
  } catch {
    return utf8(JSON.stringify(json)); // fractions have no canonical form here
  }
}

describe('contexts (P22)', () => {
  it('a signature under one label is refused under every other: n x n', () => {
    const labels = Object.values(DOMAIN);
    expect(new Set(labels).size).toBe(labels.length);
    const log = new PaperLog();
    const key = p.ed25519PublicKey(log.seed('root').bytes);
    const bytes = utf8('the same bytes');
    for (const signed of labels) {
      const signature = sign(p, log.seed('root'), signed, bytes);
      for (const offered of labels) expect(verify(p, key, offered, bytes, signature)).toBe(offered === signed);
    }
  });

  it('a leaf’s signature does not move to another kind, actor, log, time, version or body', () => {
    const log = new PaperLog();
    const key = () => p.ed25519PublicKey(log.seed('root').bytes);
    const draft = log.draft('root', 'revoke', { name: 'node-1', reason: 'lost' });
    const good = parse(log.raw(draft));
    const verdict = (leaf: object) => {
      const said = verifyLeaf(p, canonicalBytes(leaf as Json), key);
      return isRejection(said) ? said.rejected : 'verified';
    };
    expect(verdict(good)).toBe('verified');
    const other = {
      actor: 'member-1',
      log: 'ab'.repeat(32),
      time: draft.time + 1,
      body: { name: 'node-2', reason: 'lost' },
    };
    for (const [field, value] of Object.entries(other)) {
      expect([field, verdict({ ...good, [field]: value })]).toEqual([field, 'BAD_SIGNATURE']);
    }
    // The same body under another kind, where its shape allows it; and the signature of another statement.
    const ready = parse(log.raw({ ...draft, kind: 'ready', body: { close: 'ab'.repeat(32) } }));
    expect(verdict({ ...ready, kind: 'abort', body: { round: 'ab'.repeat(32), reason: 'OPERATOR' } })).toBe(
      'BAD_SIGNATURE',
    );
    const { sig: _sig, ...core } = good;
    for (const label of Object.values(DOMAIN)) {
      const sig = toBase64(sign(p, log.seed('root'), label, canonicalBytes(core)));
      expect(verdict({ ...good, sig })).toBe(label === DOMAIN.leaf ? 'verified' : 'BAD_SIGNATURE');
    }
  });
});

function* objects(value: unknown, prefix: (string | number)[] = []): Generator<(string | number)[]> {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value)) yield prefix;
  for (const [key, child] of Object.entries(value)) {
    if (Array.isArray(value) && Number(key) > 0) return;
    yield* objects(child, [...prefix, key]);
  }
}

/** Every field and item, at any depth. */
function* paths(value: unknown, prefix: (string | number)[] = []): Generator<(string | number)[]> {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, child] of Object.entries(value)) {
    yield [...prefix, key];
    yield* paths(child, [...prefix, key]);
  }
}

function at(target: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce((value, key) => (value as Record<string, unknown>)[key], target);
}
