import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  canonicalBytes,
  compareBytes,
  concat,
  fromBase64,
  fromHex,
  type Json,
  parseCanonical,
  toBase64,
  toHex,
} from '../../crypto/encoding.ts';
import { packedBytes, packResidues, unpackResidues } from '../../crypto/residues.ts';

const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().map((n) => n + 0), // -0 has no canonical spelling of its own
    fc.string({ unit: 'grapheme' }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(
      fc.string({ unit: 'grapheme' }).filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 4, noNullPrototype: true },
    ),
  ),
})).value;

const accepts = (bytes: Uint8Array): Json | undefined => {
  try {
    return parseCanonical(bytes, 1e6);
  } catch {
    return undefined;
  }
};

describe('canonical JSON', () => {
  it('decodes what it encoded, and the order of insertion does not matter', () => {
    fc.assert(
      fc.property(json, (value) => {
        const bytes = canonicalBytes(value);
        expect(parseCanonical(bytes, bytes.length)).toEqual(value);
        if (value !== null && typeof value === 'object' && !Array.isArray(value)) {
          expect(canonicalBytes(Object.fromEntries(Object.entries(value).reverse()) as Json)).toEqual(bytes);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('never takes two byte strings for one value', () => {
    fc.assert(
      fc.property(json, fc.nat(), fc.integer({ min: 1, max: 255 }), (value, at, change) => {
        const bytes = canonicalBytes(value);
        const changed = bytes.slice();
        changed[at % bytes.length]! ^= change;
        const other = accepts(changed);
        if (other !== undefined) expect(other).not.toEqual(value);
        expect(accepts(concat(bytes, new Uint8Array([change & 0x7f])))).not.toEqual(value);
      }),
      { numRuns: 500 },
    );
  });
});

describe('key order', () => {
  it('is by UTF-16 code units also where the object has another order of its own', () => {
    const keys = fc.uniqueArray(fc.oneof(fc.nat(12).map(String), fc.string({ unit: 'grapheme', maxLength: 3 })), {
      maxLength: 8,
    });
    fc.assert(
      fc.property(
        keys.filter((all) => !all.includes('__proto__')),
        (all) => {
          const value = Object.fromEntries(all.map((key) => [key, { 10: 1, 9: 2 }]));
          const members = [...all].sort().map((key) => `${JSON.stringify(key)}:{"10":1,"9":2}`);
          const text = `{${members.join(',')}}`;
          expect(new TextDecoder().decode(canonicalBytes(value))).toBe(text);
          expect(parseCanonical(new TextEncoder().encode(text), 1000)).toEqual(value);
        },
      ),
    );
  });
});

describe('bytes as text', () => {
  const bytes = fc.uint8Array({ maxLength: 100 });

  it('agrees with Buffer and comes back', () => {
    fc.assert(
      fc.property(bytes, (value) => {
        expect(toBase64(value)).toBe(Buffer.from(value).toString('base64'));
        expect(toHex(value)).toBe(Buffer.from(value).toString('hex'));
        expect(fromBase64(toBase64(value))).toEqual(value);
        expect(fromHex(toHex(value))).toEqual(value);
      }),
    );
  });

  it('orders bytes as Buffer.compare does', () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b));
      }),
    );
  });
});

describe('packed residues', () => {
  const vector = fc.integer({ min: 1, max: 16 }).chain((bits) =>
    fc.record({
      bits: fc.constant(bits),
      values: fc.array(fc.oneof(fc.nat(2 ** bits - 1), fc.constantFrom(0, 2 ** bits - 1)), { maxLength: 70 }),
    }),
  );

  it('are the little-endian bits of one big integer, and come back', () => {
    fc.assert(
      fc.property(vector, ({ bits, values }) => {
        const packed = packResidues(Uint16Array.from(values), bits);
        expect(packed.length).toBe(packedBytes(bits, values.length));
        const slow = values.reduce((sum, value, i) => sum | (BigInt(value) << BigInt(i * bits)), 0n);
        expect(packed.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)).toBe(slow);
        expect(unpackResidues(packed, bits, values.length)).toEqual(Uint16Array.from(values));
      }),
      { numRuns: 300 },
    );
  });

  it('refuse another length, a stray bit, and a value that does not fit', () => {
    fc.assert(
      fc.property(vector, ({ bits, values }) => {
        const packed = packResidues(Uint16Array.from(values), bits);
        expect(() => unpackResidues(concat(packed, new Uint8Array(1)), bits, values.length)).toThrow('another length');
        if ((bits * values.length) % 8 !== 0) {
          packed[packed.length - 1]! |= 0x80;
          expect(() => unpackResidues(packed, bits, values.length)).toThrow('stray');
        }
        if (bits < 16) expect(() => packResidues(Uint16Array.of(...values, 2 ** bits), bits)).toThrow('not below');
      }),
    );
  });
});
