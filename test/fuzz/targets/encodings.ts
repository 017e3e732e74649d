import {
  bytesEqual,
  canonicalBytes,
  fromBase64,
  fromHex,
  fromUtf8,
  type Json,
  parseCanonical,
  toBase64,
  toHex,
  utf8,
} from '../../../crypto/encoding.ts';
import { decodeChunk, encodeWithChunks } from '../../../src/grpc/chunk-codec.ts';
import { decodeParts, encodeParts } from '../../../src/party/parts.ts';
import { law, type Target } from '../target.ts';

const BAD_ENCODING = { CryptoError: ['BAD_ENCODING'] };

const json = (value: unknown): Uint8Array => canonicalBytes(value as Json);

export const encodings: readonly Target[] = [
  {
    name: 'canonical-json',
    reads: 'canonical JSON (RFC 8785)',
    form: 'json',
    seeds: () => [
      json({ a: [1, 2, { b: null }], c: 'text', d: true, '9': 'nine', '10': 'ten' }),
      json([[], {}, '', 0, -1, 9007199254740991, '\u20ac\u{1f600}\\"\u0007']),
    ],
    refusals: BAD_ENCODING,
    run(input) {
      const value = parseCanonical(input, 65_536);
      law(bytesEqual(canonicalBytes(value), input), 'canonicalBytes(parseCanonical(b)) = b');
      law(({} as { polluted?: unknown }).polluted === undefined, 'no prototype changes');
      return true;
    },
  },
  {
    name: 'base64',
    reads: 'base64 (RFC 4648), canonical',
    form: 'bytes',
    seeds: () => ['', 'AA==', 'AAA=', 'AAAA', toBase64(new Uint8Array(33).fill(255))].map(utf8),
    words: ['=', '==', '+', '/', '-', '_', 'A'],
    refusals: BAD_ENCODING,
    run(input) {
      const text = fromUtf8(input);
      law(toBase64(fromBase64(text)) === text, 'what is accepted re-encodes equal');
      return true;
    },
  },
  {
    name: 'hex',
    reads: 'hexadecimal, lower case',
    form: 'bytes',
    seeds: () => ['', '00', 'ff7f', toHex(new Uint8Array(32))].map(utf8),
    words: ['0', 'F', 'g', '0x'],
    refusals: BAD_ENCODING,
    run(input) {
      const text = fromUtf8(input);
      law(toHex(fromHex(text)) === text, 'what is accepted re-encodes equal');
      return true;
    },
  },
  {
    name: 'parts',
    reads: 'stored rows of several parts',
    form: 'bytes',
    seeds: () => [encodeParts([]), encodeParts([utf8('a'), new Uint8Array(0), utf8('long'.repeat(20))])],
    refusals: { StoreError: ['CORRUPT'] },
    run(input) {
      law(bytesEqual(encodeParts(decodeParts(input)), input), 'encodeParts(decodeParts(b)) = b');
      return true;
    },
  },
  {
    name: 'chunk',
    reads: 'messages that are one chunk',
    form: 'protobuf',
    seeds: () => [0, 1, 127, 128, 20_000].map((length) => encodeChunk(new Uint8Array(length).fill(7))),
    refusals: {},
    run(input) {
      const chunk = decodeChunk(input);
      if (chunk === null) return false;
      law(bytesEqual(encodeChunk(chunk), input), 'a chunk has one spelling');
      return true;
    },
  },
];

function encodeChunk(value: Uint8Array): Uint8Array {
  const encode = encodeWithChunks<{ part?: { $case: 'chunk'; value: Uint8Array } }>(() => Buffer.alloc(0));
  return new Uint8Array(encode({ part: { $case: 'chunk', value } }));
}
