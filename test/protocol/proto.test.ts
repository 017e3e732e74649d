import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { status as Status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CryptoError } from '../../crypto/errors.ts';
import { UploadRequest } from '../../proto/gen/veilsum/v1/aggregation.ts';
import { ProtocolError, REJECTIONS } from '../../protocols/errors.ts';
import { ACCESS } from '../../src/grpc/access.ts';
import { type ChunkMessage, decodeChunk, encodeWithChunks } from '../../src/grpc/chunk-codec.ts';
import { TRANSPORT_STATUS, TransportError } from '../../src/grpc/errors.ts';
import { MAX_MESSAGE_BYTES } from '../../src/grpc/limits.ts';
import { type AnyMethod, MalformedMessage, type RpcPath, SERVICES } from '../../src/grpc/services.ts';
import {
  CODE_METADATA,
  CRYPTO_STATUS,
  ERROR_LAYERS,
  errorLayer,
  PROTOCOL_STATUS,
  statusFor,
  TLS_STATUS,
} from '../../src/grpc/status.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const methods = Object.values(SERVICES).flatMap((service) => Object.values(service) as AnyMethod[]);

describe('proto/', () => {
  it('lints, and the committed code is what it generates', () => {
    const result = spawnSync(process.execPath, ['scripts/proto.mjs', '--check'], { cwd: root, encoding: 'utf8' });
    expect(`${result.stdout}${result.stderr}`).toBe('');
    expect(result.status).toBe(0);
  });

  it('every byte and text field says how long it is, every number what it counts', () => {
    const files = [
      'aggregation',
      'enrolment',
      'log',
      'matching',
      'model',
      'party',
      'quorum',
      'result',
      'round',
      'witness',
    ];
    let fields = 0;
    for (const file of files) {
      const text = readFileSync(`${root}/proto/veilsum/v1/${file}.proto`, 'utf8');
      for (const [, comment, type, name] of text.matchAll(
        /((?: *\/\/[^\n]*\n)+) *(?:repeated |optional )?(bytes|string|uint32|uint64) (\w+) = \d+;/g,
      )) {
        fields++;
        const unit = /bytes|string/.test(type!)
          ? /\d|As in|as in/
          : /bytes|leaves|index|nodes|rounds|attempts|counted from/i;
        expect(`${file}.${name}: ${comment!.trim()}`).toMatch(unit);
      }
    }
    expect(fields).toBeGreaterThan(60);
  });

  it('the tables cover every RPC, and nothing else', () => {
    expect(Object.keys(ACCESS).sort()).toEqual(methods.map((method) => method.path).sort());
    // @ts-expect-error a path that is no RPC has no row
    const unknown: RpcPath = '/veilsum.v1.LogService/Delete';
    expect(unknown in ACCESS).toBe(false);
  });
});

describe('messages', () => {
  const generated = (message: UploadRequest): Buffer => Buffer.from(UploadRequest.encode(message).finish());
  const encode = encodeWithChunks(generated as (message: ChunkMessage) => Buffer) as typeof generated;

  it('a chunk is encoded as the generated code would, and decoded without a copy', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 300 }),
        fc.constantFrom(0, 1, 127, 128, 16_383, 16_384, 1 << 20),
        (head, length) => {
          const value = new Uint8Array(Math.max(length, head.length));
          value.set(head);
          const bytes = encode({ part: { $case: 'chunk', value } });
          expect(bytes.equals(generated({ part: { $case: 'chunk', value } }))).toBe(true);
          const decoded = decodeChunk(bytes)!;
          expect(Buffer.from(decoded).equals(value)).toBe(true);
          expect(decoded.buffer).toBe(bytes.buffer);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('requests have one spelling: what decodes is what was sent, all else is refused', () => {
    fc.assert(
      fc.property(fc.constantFrom(...methods), fc.uint8Array({ maxLength: 64 }), (method, bytes) => {
        const message = method.requestDeserialize(Buffer.from(bytes));
        if (message instanceof MalformedMessage) return;
        expect(Buffer.from(method.requestSerialize(message)).equals(bytes)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  it('every request with an unknown field or a byte too many is refused', () => {
    for (const method of methods) {
      const empty = method.requestSerialize(method.requestDeserialize(Buffer.alloc(0)));
      expect(method.requestDeserialize(empty)).not.toBeInstanceOf(MalformedMessage); // control
      for (const extra of [[0xf8, 0x07, 0x01], [0x00], [0x0c], [0x80]]) {
        expect(method.requestDeserialize(Buffer.concat([empty, Buffer.from(extra)])), method.path).toBeInstanceOf(
          MalformedMessage,
        );
      }
    }
  });

  it('a message of the largest allowed size decodes', () => {
    const value = new Uint8Array(MAX_MESSAGE_BYTES - 16);
    expect(decodeChunk(encode({ part: { $case: 'chunk', value } }))?.length).toBe(value.length);
  });
});

describe('errors', () => {
  it('every code has a gRPC status, and travels by its name', () => {
    for (const table of [TRANSPORT_STATUS, CRYPTO_STATUS, TLS_STATUS, PROTOCOL_STATUS]) {
      for (const name of Object.values(table)) expect(Status[name]).toBeTypeOf('number');
    }
    for (const code of REJECTIONS) {
      const status = statusFor(new ProtocolError(code, 'why'), ERROR_LAYERS);
      expect([status.metadata.get(CODE_METADATA), status.code]).toEqual([[code], Status[PROTOCOL_STATUS[code]]]);
    }
    expect(statusFor(new CryptoError('BAD_KEY', 'why'), ERROR_LAYERS).code).toBe(Status.INVALID_ARGUMENT);
    expect(statusFor(new TransportError('WRONG_HASH', 'why'), ERROR_LAYERS).code).toBe(Status.INVALID_ARGUMENT);
  });

  it('a table that misses a code does not compile', () => {
    class StoreError extends Error {
      readonly code: 'FULL' | 'BROKEN' = 'FULL';
    }
    // @ts-expect-error BROKEN has no status
    errorLayer(StoreError, { FULL: 'RESOURCE_EXHAUSTED' });
    const layer = errorLayer(StoreError, { FULL: 'RESOURCE_EXHAUSTED', BROKEN: 'INTERNAL' });
    expect(statusFor(new StoreError('full'), [...ERROR_LAYERS, layer]).code).toBe(Status.RESOURCE_EXHAUSTED);
    expect(statusFor(new StoreError('full'), ERROR_LAYERS).code).toBe(Status.INTERNAL); // control: unknown without it
  });

  it('an error of no known layer tells nothing', () => {
    const status = statusFor(new Error('canary: /var/lib/secret'), ERROR_LAYERS);
    expect(JSON.stringify([status.details, status.metadata.toJSON()])).not.toContain('canary');
    expect(status.known).toBe(false);
  });
});
