import { describe, expect, it } from 'vitest';
import { DOMAIN, labelBytes } from '../../crypto/domain.ts';
import {
  canonicalBytes,
  compareBytes,
  fromBase64,
  fromHex,
  fromUtf8,
  type Json,
  parseCanonical,
  toBase64,
  toHex,
  u16be,
  u32be,
  u32le,
  u64be,
  utf8,
} from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { noblePrimitives } from '../../crypto/primitives-noble.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { hashWithLabel, sign, verify } from '../../crypto/signature.ts';

function code(call: () => unknown): string {
  try {
    call();
    return 'none';
  } catch (error) {
    if (error instanceof CryptoError) return error.code;
    throw error;
  }
}

describe('RFC 8785', () => {
  it('sorts by UTF-16 code units (section 3.2.3)', () => {
    const value = { '€': 5, '\r': 1, '\ufb33': 7, '1': 2, '😀': 6, '\u0080': 3, ö: 4 };
    expect(fromUtf8(canonicalBytes(value))).toBe('{"\\r":1,"1":2,"\u0080":3,"ö":4,"€":5,"😀":6,"\ufb33":7}');
  });

  it('escapes as section 3.2.2.2 says', () => {
    const value = { string: '\u20ac$\u000F\u000aA\'\u0042\u0022\u005c\\"/', literals: [null, true, false] };
    expect(toHex(canonicalBytes(value))).toBe(
      // The example of RFC 8785 section 3.2.4 without its fractional numbers.
      toHex(utf8('{"literals":[null,true,false],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}')),
    );
  });

  it('refuses what has no single spelling, and JSON.parse alone would take it for the same', () => {
    const canonical = '{"a":1,"b":[2,"x"]}';
    expect(parseCanonical(utf8(canonical), 100)).toEqual({ a: 1, b: [2, 'x'] });
    for (const other of [
      ' {"a":1,"b":[2,"x"]}',
      '{"a":1,"b":[2,"x"]}\n',
      '{"b":[2,"x"],"a":1}',
      '{"a":1.0,"b":[2,"x"]}',
      '{"a":1e0,"b":[2,"x"]}',
      '{"a":1,"b":[2,"\\u0078"]}',
      '{"a":9,"a":1,"b":[2,"x"]}',
    ]) {
      // Control: without the re-encoding, one meaning would have many signed spellings.
      expect(JSON.parse(other)).toEqual({ a: 1, b: [2, 'x'] });
      expect(code(() => parseCanonical(utf8(other), 100))).toBe('BAD_ENCODING');
    }
  });

  it('refuses what is no message of ours', () => {
    for (const text of [
      '',
      '{',
      '1.5',
      '-0',
      '1e400',
      '9007199254740992',
      '"\\ud800"',
      '\ufeff1',
      '{"__proto__":{}}',
    ]) {
      expect(
        code(() => parseCanonical(utf8(text), 100)),
        text,
      ).toBe('BAD_ENCODING');
    }
    expect(code(() => parseCanonical(new Uint8Array([0x22, 0xff, 0x22]), 100))).toBe('BAD_ENCODING');
    expect(code(() => parseCanonical(new Uint8Array([0x22, 0xc0, 0x80, 0x22]), 100))).toBe('BAD_ENCODING'); // overlong
    expect(code(() => parseCanonical(utf8('123'), 2))).toBe('BAD_ENCODING');
    expect(code(() => parseCanonical(utf8('['.repeat(60_000) + ']'.repeat(60_000)), 200_000))).toBe('BAD_ENCODING');
    for (const value of [
      1.5,
      Number.NaN,
      -0,
      2 ** 53,
      undefined,
      new Map(),
      new Uint8Array(2),
      '\ud800',
      [undefined],
    ]) {
      expect(code(() => canonicalBytes(value as Json))).toBe('BAD_ENCODING');
    }
  });
});

describe('byte encodings', () => {
  it('base64 as RFC 4648 section 10, hexadecimal in lower case', () => {
    const pairs = [
      ['', ''],
      ['f', 'Zg=='],
      ['fo', 'Zm8='],
      ['foo', 'Zm9v'],
      ['foob', 'Zm9vYg=='],
      ['fooba', 'Zm9vYmE='],
    ];
    for (const [plain, encoded] of [...pairs, ['foobar', 'Zm9vYmFy']]) {
      expect(toBase64(utf8(plain!))).toBe(encoded);
      expect(fromUtf8(fromBase64(encoded!))).toBe(plain);
    }
    expect(toHex(new Uint8Array([0, 171, 255]))).toBe('00abff');
    expect(fromHex('00abff')).toEqual(new Uint8Array([0, 171, 255]));
  });

  it('refuses every other spelling that Buffer takes', () => {
    for (const text of ['Zg', 'Zg=', 'Zh==', 'Zm9=', 'Zg==\n', 'Z g==', 'Zm9v====', '_-8=', 'A===', '====', 'Zé==']) {
      expect(
        code(() => fromBase64(text)),
        text,
      ).toBe('BAD_ENCODING');
    }
    expect(Buffer.from('Zh==', 'base64')).toEqual(Buffer.from('Zg==', 'base64')); // control: two spellings, one byte
    for (const text of ['0', 'AB', '0x', ' 0', 'zz', '0g'])
      expect(
        code(() => fromHex(text)),
        text,
      ).toBe('BAD_ENCODING');
    expect(code(() => fromHex('00', 2))).toBe('BAD_ENCODING');
    expect(code(() => fromBase64('Zg==', 2))).toBe('BAD_ENCODING');
    expect(code(() => utf8('\udc00'))).toBe('BAD_ENCODING');
  });

  it('integers of fixed width', () => {
    expect(toHex(u16be(0x1234))).toBe('1234');
    expect(toHex(u32le(0x12345678)) + toHex(u32be(0x12345678))).toBe('7856341212345678');
    expect(toHex(u64be(2n ** 64n - 2n))).toBe('fffffffffffffffe');
    for (const call of [() => u16be(65_536), () => u32be(-1), () => u32le(0.5), () => u64be(2n ** 64n)]) {
      expect(code(call)).toBe('OUT_OF_RANGE');
    }
    expect(compareBytes(utf8('a'), utf8('ab'))).toBeLessThan(0);
    expect(compareBytes(new Uint8Array([200]), new Uint8Array([100, 1]))).toBeGreaterThan(0);
  });
});

describe('labels', () => {
  it('are all different, of this version, and free of separators', () => {
    const labels = Object.values(DOMAIN);
    expect(new Set(labels).size).toBe(labels.length);
    for (const label of labels) expect(label).toMatch(/^veilsum\/v1\/[a-z0-9-]+$/);
    for (const label of ['', 'a b', 'a\0b', 'ü']) expect(code(() => labelBytes(label))).toBe('BAD_VALUE');
  });

  it('separate signatures, and hashes of other splits of the same bytes', () => {
    using seed = new SecretBytes('test', new Uint8Array(32).fill(1));
    const p = noblePrimitives;
    const key = p.ed25519PublicKey(seed.bytes);
    const signature = sign(p, seed, DOMAIN.leaf, utf8('text'));
    expect(verify(p, key, DOMAIN.leaf, utf8('text'), signature)).toBe(true);
    expect(verify(p, key, DOMAIN.upload, utf8('text'), signature)).toBe(false);
    expect(verify(p, key, DOMAIN.leaf, utf8('texts'), signature)).toBe(false);
    // Control: the raw rule, without a label, accepts the labelled bytes as a message of another kind.
    expect(p.ed25519Verify(key, utf8(`${DOMAIN.leaf}\0text`), signature)).toBe(true);
    const hashes = [
      hashWithLabel(p, DOMAIN.leaf, utf8('ab'), utf8('c')),
      hashWithLabel(p, DOMAIN.leaf, utf8('a'), utf8('bc')),
      hashWithLabel(p, DOMAIN.leaf, utf8('abc')),
      hashWithLabel(p, DOMAIN.upload, utf8('abc')),
    ];
    expect(new Set(hashes.map(toHex)).size).toBe(4);
  });
});

describe('secrets', () => {
  it('print their name, are wiped at scope end, and are gone then', () => {
    const bytes = new Uint8Array([1, 2, 3]);
    {
      using secret = new SecretBytes('key', bytes);
      expect(`${secret} ${JSON.stringify({ secret })}`).toBe('[secret key] {"secret":"[secret key]"}');
      expect(SecretBytes.equals(secret, new Uint8Array([1, 2, 3]))).toBe(true);
      expect(SecretBytes.equals(secret, new Uint8Array([1, 2, 4]))).toBe(false);
      expect(SecretBytes.equals(secret, new Uint8Array([1, 2]))).toBe(false);
    }
    expect(bytes).toEqual(new Uint8Array(3));
    const gone = new SecretBytes('gone', new Uint8Array([7]));
    const child = new Uint8Array([8]);
    expect(gone.derived('child', () => child)).toBe(gone.derived('child', () => new Uint8Array(1)));
    gone.wipe();
    expect(child[0]).toBe(0);
    expect(code(() => gone.bytes)).toBe('ALREADY_WIPED');
    expect(code(() => gone.derived('child', () => child))).toBe('ALREADY_WIPED');
  });
});
