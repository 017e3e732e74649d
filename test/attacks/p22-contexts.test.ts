import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { formatCheckpoint } from '../../crypto/checkpoint.ts';
import { DOMAIN } from '../../crypto/domain.ts';
import { canonicalBytes, concat, fromUtf8, type Json, toHex, utf8 } from '../../crypto/encoding.ts';
import { makeSigner, makeVerifier, signText, verifySignature } from '../../crypto/note.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { noblePrimitives } from '../../crypto/primitives-noble.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import * as signatures from '../../crypto/signature.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { p } from '../reference/paper-log.ts';

/** A control takes the labels away. */
const weak = vi.hoisted(() => ({ noLabels: false }));
vi.mock('../../crypto/domain.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/domain.ts')>();
  const labelBytes: typeof original.labelBytes = (label) =>
    weak.noLabels ? new Uint8Array(0) : original.labelBytes(label);
  return { ...original, labelBytes };
});

afterEach(() => {
  weak.noLabels = false;
});

const seed = new SecretBytes('the same key everywhere', new Uint8Array(32).fill(7));
const ORIGIN = 'cosignature/v1'; // the worst name that a log may have: the first line of what a witness signs

/** Every context in which the project makes or takes an Ed25519 signature: what is signed, and by which verifier taken. */
interface Context {
  readonly name: string;
  sign(p: Primitives, bytes: Uint8Array): Uint8Array;
  verify(p: Primitives, bytes: Uint8Array, signature: Uint8Array): boolean;
}

function noteContext(type: 'ed25519' | 'cosignature', timestamp: number): Context {
  const payload = (bytes: Uint8Array): string => fromUtf8(bytes);
  return {
    name: `${type} at ${timestamp}`,
    sign: (q, bytes) => signText(q, makeSigner(q, type, ORIGIN, seed), payload(bytes), timestamp).signature.slice(-64),
    verify(q, bytes, signature) {
      const verifier = makeVerifier(q, type, ORIGIN, q.ed25519PublicKey(seed.bytes));
      const line = signText(q, makeSigner(q, type, ORIGIN, seed), payload(bytes), timestamp);
      const offered = { ...line, signature: concat(line.signature.slice(0, -64), signature) };
      return verifySignature(q, verifier, payload(bytes), offered) !== undefined;
    },
  };
}

const contextsOf = ({ sign, verify }: typeof signatures): readonly Context[] => [
  ...Object.values(DOMAIN).map((label) => ({
    name: label,
    sign: (q: Primitives, bytes: Uint8Array) => sign(q, seed, label, bytes),
    verify: (q: Primitives, bytes: Uint8Array, signature: Uint8Array) =>
      verify(q, q.ed25519PublicKey(seed.bytes), label, bytes, signature),
  })),
  noteContext('ed25519', 0),
  noteContext('cosignature', 1),
  noteContext('cosignature', 2),
];
const CONTEXTS = contextsOf(signatures);

/** One statement that every context can carry. */
const STATEMENT = utf8(formatCheckpoint({ origin: ORIGIN, size: 5, root: new Uint8Array(32) }));

/** Pairs of contexts of which one takes a signature of the other. */
function exchanged(q: Primitives, contexts: readonly Context[] = CONTEXTS): string[] {
  const made = contexts.map((context) => context.sign(q, STATEMENT));
  return contexts.flatMap((own, i) => {
    expect([own.name, own.verify(q, STATEMENT, made[i]!)]).toEqual([own.name, true]); // each in its own
    return contexts
      .filter((offered) => offered !== own && offered.verify(q, STATEMENT, made[i]!))
      .map((offered) => `${own.name} as ${offered.name}`);
  });
}

describe('P22: contexts cannot be exchanged', () => {
  it.each([
    ['node', p],
    ['noble', noblePrimitives],
  ])('n x n: each signature of each context is refused in every other one, by %s', (name, q) => {
    // Portable signatures take ms: every third label, and all that are not labels.
    const all = name === 'noble' ? CONTEXTS.filter((_, i) => i % 3 === 0 || i >= CONTEXTS.length - 3) : CONTEXTS;
    expect(all.length).toBeGreaterThan(10);
    expect(exchanged(q, all)).toEqual([]);
  });

  it('control: without labels every statement of one context is one of every other', async () => {
    weak.noLabels = true;
    vi.resetModules(); // prefixes are kept once they are made
    const bare = contextsOf(await import('../../crypto/signature.ts'));
    const labels = Object.values(DOMAIN).length;
    expect(exchanged(nodePrimitives, bare).length).toBe(labels * (labels - 1));
  });

  it('no statement under a label is a note or a cosignature, whatever a log is called', () => {
    // Notes are text without control characters but newlines; `label || 0x00` is neither.
    for (const label of Object.values(DOMAIN)) {
      const signed = concat(utf8(label), new Uint8Array(1), STATEMENT);
      const verifier = makeVerifier(p, 'ed25519', ORIGIN, p.ed25519PublicKey(seed.bytes));
      const text = new TextDecoder().decode(signed);
      const line = signText(p, makeSigner(p, 'ed25519', ORIGIN, seed), fromUtf8(STATEMENT), 0);
      const offered = { ...line, signature: p.ed25519Sign(seed.bytes, signed) };
      expect(verifySignature(p, verifier, fromUtf8(STATEMENT), offered)).toBeUndefined();
      expect(text.includes('\0')).toBe(true);
    }
  });
});

const { hashWithLabel, infoWithLabel } = signatures;
const bytes = fc.uint8Array({ maxLength: 12 });
const parts = fc.array(bytes, { maxLength: 5 });
const label = fc.constantFrom(...Object.values(DOMAIN));

describe('P22: hash inputs are unambiguous', () => {
  it('two different lists of parts, or labels, are never one input: lengths go before every part', () => {
    fc.assert(
      fc.property(label, parts, label, parts, (l1, a, l2, b) => {
        const same = l1 === l2 && JSON.stringify(a.map(toHex)) === JSON.stringify(b.map(toHex));
        expect(toHex(infoWithLabel(l1, ...a)) === toHex(infoWithLabel(l2, ...b))).toBe(same);
        expect(toHex(hashWithLabel(p, l1, ...a)) === toHex(hashWithLabel(p, l2, ...b))).toBe(same);
      }),
      { numRuns: 500 },
    );
  });

  it('no shift of bytes between neighbours, split or merge of parts keeps it', () => {
    let confused = 0;
    fc.assert(
      fc.property(label, parts, fc.nat(), fc.nat(), (l, list, where, many) => {
        const joined = concat(...list);
        const cut = joined.length === 0 ? 0 : many % joined.length;
        const others = [
          [joined],
          [joined.subarray(0, cut), joined.subarray(cut)],
          list.toSpliced(where % (list.length + 1), 0, new Uint8Array(0)),
          list.slice(1),
        ];
        const spelling = (of: readonly Uint8Array[]) => of.map(toHex).join('|') + of.length;
        for (const other of others) {
          const isSame = spelling(other) === spelling(list);
          expect(toHex(infoWithLabel(l, ...other)) === toHex(infoWithLabel(l, ...list))).toBe(isSame);
          if (!isSame && toHex(concat(...other)) === toHex(joined)) confused++;
        }
      }),
      { numRuns: 500 },
    );
    // Control: bare concatenation takes many of these different lists for one.
    expect(confused).toBeGreaterThan(100);
    // Once and for all: without lengths these two tuples are one input.
    expect(concat(utf8('node-1'), utf8('2'))).toEqual(concat(utf8('node-'), utf8('12')));
    expect(infoWithLabel(DOMAIN.shareBox, utf8('node-1'), utf8('2'))).not.toEqual(
      infoWithLabel(DOMAIN.shareBox, utf8('node-'), utf8('12')),
    );
  });

  it('canonical JSON of two different values is never the same bytes', () => {
    const value = fc.letrec<{ tree: Json }>((tie) => ({
      tree: fc.oneof(
        { maxDepth: 3 },
        fc.string(),
        fc.maxSafeInteger(),
        fc.boolean(),
        fc.constant(null),
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(fc.string(), tie('tree'), { maxKeys: 3 }),
      ) as fc.Arbitrary<Json>,
    })).tree;
    const encode = (json: Json): string | null => {
      try {
        return toHex(canonicalBytes(json));
      } catch {
        return null; // lone surrogates have no encoding
      }
    };
    fc.assert(
      fc.property(value, value, (a, b) => {
        const [x, y] = [encode(a), encode(b)];
        if (x === null || y === null) return;
        // Back again: an encoding that two values shared could not decode to both.
        expect(JSON.parse(fromUtf8(canonicalBytes(a)))).toEqual(JSON.parse(JSON.stringify(a)));
        if (x === y) expect(JSON.parse(JSON.stringify(a))).toEqual(JSON.parse(JSON.stringify(b)));
      }),
      { numRuns: 500 },
    );
  });
});
