import { readdirSync, readFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import * as aggregation from '../../../proto/gen/veilsum/v1/aggregation.ts';
import * as enrolment from '../../../proto/gen/veilsum/v1/enrolment.ts';
import * as log from '../../../proto/gen/veilsum/v1/log.ts';
import * as matching from '../../../proto/gen/veilsum/v1/matching.ts';
import * as model from '../../../proto/gen/veilsum/v1/model.ts';
import * as party from '../../../proto/gen/veilsum/v1/party.ts';
import * as quorum from '../../../proto/gen/veilsum/v1/quorum.ts';
import * as result from '../../../proto/gen/veilsum/v1/result.ts';
import * as round from '../../../proto/gen/veilsum/v1/round.ts';
import * as witness from '../../../proto/gen/veilsum/v1/witness.ts';
import { type AnyMethod, MalformedMessage, SERVICES } from '../../../src/grpc/services.ts';
import { encodeParts } from '../../../src/party/parts.ts';
import { join, varintOf } from '../mutate-bytes.ts';
import { law, partsOf, type Target } from '../target.ts';

const PROTO = joinPath(import.meta.dirname, '../../../proto/veilsum/v1');

interface FieldType {
  readonly type: string;
  readonly number: number;
  readonly repeated: boolean;
}

/** Fields of every message type, read from the .proto files. */
const TYPES = new Map<string, FieldType[]>();
for (const file of readdirSync(PROTO).filter((name) => name.endsWith('.proto'))) {
  const text = readFileSync(joinPath(PROTO, file), 'utf8').replaceAll(/\/\/.*$/gm, '');
  for (const [, name, body] of text.matchAll(/^message (\w+) \{(?:\}|([\s\S]*?)^\})/gm)) {
    // Of a oneof its last alternative: only one can be there.
    const flat = (body ?? '').replaceAll(/oneof \w+ \{[\s\S]*?(\w+ \w+ = \d+;)\s*\}/g, '$1');
    const fields = [...flat.matchAll(/(repeated |optional )?(\w+) \w+ = (\d+)/g)];
    TYPES.set(
      name!,
      fields.map(([, label, type, number]) => ({
        type: type!,
        number: Number(number),
        repeated: label === 'repeated ',
      })),
    );
  }
}

const NUMBERS = ['uint32', 'uint64', 'int32', 'int64', 'bool'];

/** A message with every field set, of a oneof the last alternative. @param which - varies the values. */
function sample(name: string, which: number): Uint8Array {
  const fields = TYPES.get(name)!.map(({ type, number, repeated }) => {
    const inner = TYPES.has(type)
      ? sample(type, which)
      : new TextEncoder().encode(which === 0 ? 'a' : `text of ${name}`);
    const isNumber = !TYPES.has(type) && (NUMBERS.includes(type) || !['bytes', 'string'].includes(type));
    const value = BigInt(which === 0 || type === 'bool' || !NUMBERS.includes(type) ? 1 : 300);
    const one = isNumber
      ? join(varintOf(BigInt(number << 3)), varintOf(value))
      : join(varintOf(BigInt((number << 3) | 2)), varintOf(BigInt(inner.length)), inner);
    return repeated && !isNumber ? join(one, one) : one;
  });
  return join(...fields);
}

interface Codec {
  readonly name: string;
  readonly decode: (bytes: Uint8Array) => unknown;
  readonly encode: (message: never) => { finish(): Uint8Array };
}

/** Every message type of the generated code. */
const CODECS: Codec[] = Object.values({
  aggregation,
  enrolment,
  log,
  matching,
  model,
  party,
  quorum,
  result,
  round,
  witness,
})
  .flatMap((module) => Object.entries(module as Record<string, unknown>))
  .filter(([name, value]) => TYPES.has(name) && typeof (value as { decode?: unknown }).decode === 'function')
  .map(([name, value]) => ({ name, ...(value as Omit<Codec, 'name'>) }))
  .sort((a, b) => (a.name < b.name ? -1 : 1));

const METHODS: AnyMethod[] = Object.values(SERVICES).flatMap((service) =>
  Object.values(service as Record<string, AnyMethod>),
);
/** `Open` and the like: the request's type by the path of its RPC. */
const typeNames = (path: string): string[] => {
  const file = readdirSync(PROTO)
    .map((name) => readFileSync(joinPath(PROTO, name), 'utf8'))
    .join('\n');
  const [, , service, rpc] = /^\/(veilsum\.v1\.)(\w+)\/(\w+)$/.exec(path)!;
  const body = new RegExp(`service ${service} \\{([\\s\\S]*?)^\\}`, 'm').exec(file)![1]!;
  const [, request, response] = new RegExp(`rpc ${rpc}\\((?:stream )?(\\w+)\\) returns \\((?:stream )?(\\w+)\\)`).exec(
    body,
  )!;
  return [request!, response!];
};

/** Plain errors of the generated decoder and its reader, by their fixed words. */
const WIRE_ERRORS =
  /^(?:premature EOF|invalid varint|illegal tag|invalid int|cant skip wire type|protobuf decode recursion limit|maximum recursion depth|index out of range|invalid end group|Value is (?:larger|smaller))/;

export const messages: readonly Target[] = [
  {
    name: 'message',
    reads: 'every protobuf message type, as generated',
    form: ['bytes', 'protobuf'],
    seeds: () =>
      CODECS.flatMap(({ name }, i) => [0, 1].map((which) => encodeParts([Uint8Array.of(i), sample(name, which)]))),
    refusals: {},
    run(input) {
      const [which, wire] = partsOf(input) ?? [];
      const codec = CODECS[which?.[0] ?? -1];
      if (codec === undefined || wire === undefined) return false;
      let message: unknown;
      try {
        message = codec.decode(wire);
      } catch (error) {
        // The generated code has no codes. What reaches a handler went through `services.ts`: see the target `request`.
        law(
          error instanceof Error && !(error instanceof TypeError) && WIRE_ERRORS.test(error.message),
          `a wire error: ${String(error)}`,
        );
        return false;
      }
      const bytes = codec.encode(message as never).finish();
      const again = codec.encode(codec.decode(bytes) as never).finish();
      law(Buffer.compare(bytes, again) === 0, 'a decoded message re-encodes to a fixed point');
      law(bytes.length <= 4 * wire.length, 'a message is not much larger than its bytes'); // U+FFFD takes three
      return true;
    },
  },
  {
    name: 'request',
    reads: 'requests of every RPC, as a server takes them',
    form: ['bytes', 'protobuf'],
    seeds: () => METHODS.map(({ path }, i) => encodeParts([Uint8Array.of(i), sample(typeNames(path)[0]!, 1)])),
    refusals: {},
    run(input) {
      const [which, wire] = partsOf(input) ?? [];
      const method = METHODS[which?.[0] ?? -1];
      if (method === undefined || wire === undefined) return false;
      const message = method.requestDeserialize(Buffer.from(wire));
      if (message instanceof MalformedMessage) return false;
      law(Buffer.compare(method.requestSerialize(message), wire) === 0, 'what is accepted re-encodes equal');
      return true;
    },
  },
];
