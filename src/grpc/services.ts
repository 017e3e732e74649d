import { AggregationServiceService } from '../../proto/gen/veilsum/v1/aggregation.ts';
import { EnrolmentServiceService } from '../../proto/gen/veilsum/v1/enrolment.ts';
import { LogServiceService } from '../../proto/gen/veilsum/v1/log.ts';
import { MatchingServiceService } from '../../proto/gen/veilsum/v1/matching.ts';
import { ModelServiceService } from '../../proto/gen/veilsum/v1/model.ts';
import { PartyServiceService } from '../../proto/gen/veilsum/v1/party.ts';
import { QuorumServiceService } from '../../proto/gen/veilsum/v1/quorum.ts';
import { ResultServiceService } from '../../proto/gen/veilsum/v1/result.ts';
import { RoundServiceService } from '../../proto/gen/veilsum/v1/round.ts';
import { WitnessServiceService } from '../../proto/gen/veilsum/v1/witness.ts';
import { type ChunkMessage, decodeChunk, encodeWithChunks } from './chunk-codec.ts';

/** One RPC as the generated code describes it. */
export interface Method<Request, Response, RequestStream extends boolean, ResponseStream extends boolean> {
  readonly path: string;
  readonly requestStream: RequestStream;
  readonly responseStream: ResponseStream;
  readonly requestSerialize: (value: Request) => Buffer;
  readonly requestDeserialize: (bytes: Buffer) => Request;
  readonly responseSerialize: (value: Response) => Buffer;
  readonly responseDeserialize: (bytes: Buffer) => Response;
}
export type UnaryMethod<Q, S> = Method<Q, S, false, false>;
export type ServerStreamMethod<Q, S> = Method<Q, S, false, true>;
export type DuplexMethod<Q, S> = Method<Q, S, true, true>;
// biome-ignore lint/suspicious/noExplicitAny: any message; `unknown` would refuse the generated serialisers
export type AnyMethod = Method<any, any, boolean, boolean>;
export type Service = Readonly<Record<string, AnyMethod>>;

/** What stands in for a message that was not one of ours: whoever receives it refuses it by name. */
export class MalformedMessage {}

/**
 * A message is accepted only in the one spelling that our own encoder gives it: no unknown or repeated fields, no
 * trailing bytes. Costs a second encoding, microseconds for all but chunks, which have their own decoder.
 */
function strict<T>(decode: (bytes: Buffer) => T, encode: (value: T) => Buffer): (bytes: Buffer) => T {
  return (bytes) => {
    try {
      const message = decode(bytes);
      if (encode(message).equals(bytes)) return message;
    } catch {
      // not a message of this type at all: refused the same way
    }
    return new MalformedMessage() as T;
  };
}

function strictMethod<M extends AnyMethod>(method: M): M {
  return { ...method, requestDeserialize: strict(method.requestDeserialize, method.requestSerialize) };
}

/** Chunks travel from the caller. */
function uploading<Q extends ChunkMessage, S, M extends DuplexMethod<Q, S>>(method: M & DuplexMethod<Q, S>): M {
  const other = strict(method.requestDeserialize, method.requestSerialize);
  return {
    ...method,
    requestSerialize: encodeWithChunks(method.requestSerialize),
    requestDeserialize: (bytes: Buffer) => chunkMessage<Q>(bytes) ?? other(bytes),
  };
}

/** Chunks travel to the caller. */
function downloading<Q, S extends ChunkMessage, M extends ServerStreamMethod<Q, S>>(
  method: M & ServerStreamMethod<Q, S>,
): M {
  return {
    ...strictMethod(method),
    responseSerialize: encodeWithChunks(method.responseSerialize),
    responseDeserialize: (bytes: Buffer) => chunkMessage<S>(bytes) ?? method.responseDeserialize(bytes),
  };
}

function chunkMessage<T extends ChunkMessage>(bytes: Buffer): T | null {
  const value = decodeChunk(bytes);
  return value === null ? null : ({ part: { $case: 'chunk', value } } as ChunkMessage as T);
}

function strictService<S extends Service>(service: S): S {
  return Object.fromEntries(Object.entries(service).map(([name, method]) => [name, strictMethod(method)])) as S;
}

export const EnrolmentService = strictService(EnrolmentServiceService);
export const LogService = strictService(LogServiceService);
export const WitnessService = strictService(WitnessServiceService);
export const RoundService = strictService(RoundServiceService);
export const AggregationService = {
  ...strictService(AggregationServiceService),
  upload: uploading(AggregationServiceService.upload),
  fetchSum: downloading(AggregationServiceService.fetchSum),
};
export const QuorumService = strictService(QuorumServiceService);
export const ModelService = {
  put: uploading(ModelServiceService.put),
  get: downloading(ModelServiceService.get),
};
export const ResultService = { fetch: downloading(ResultServiceService.fetch) };
export const MatchingService = strictService(MatchingServiceService);
export const PartyService = strictService(PartyServiceService);

/** Every service of the protocol. */
export const SERVICES = {
  EnrolmentService,
  LogService,
  WitnessService,
  RoundService,
  AggregationService,
  QuorumService,
  ModelService,
  ResultService,
  MatchingService,
  PartyService,
} as const satisfies Record<string, Service>;

type PathsOf<S> = S extends Readonly<Record<string, { readonly path: infer P extends string }>> ? P : never;
/** Paths of all RPCs, `/veilsum.v1.<Service>/<Rpc>`. */
export type RpcPath = { [K in keyof typeof SERVICES]: PathsOf<(typeof SERVICES)[K]> }[keyof typeof SERVICES];
