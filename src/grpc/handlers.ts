import type { PeerIdentity } from '../tls/identity.ts';
import type { AnyMethod, DuplexMethod, Method, ServerStreamMethod, Service, UnaryMethod } from './services.ts';

/** What a handler knows about the call besides its request. */
export interface CallContext {
  /** The caller, from its verified certificate; its role may make this call. */
  readonly peer: PeerIdentity;
  /** Aborted when the caller is gone, out of time or barred, or the server stops. */
  readonly signal: AbortSignal;
}

export type UnaryHandler<Q, S> = (request: Q, context: CallContext) => Promise<S>;
export type ServerStreamHandler<Q, S> = (request: Q, context: CallContext) => AsyncIterable<S>;
export type ClientStreamHandler<Q, S> = (requests: AsyncIterable<Q>, context: CallContext) => Promise<S>;
export type DuplexHandler<Q, S> = (requests: AsyncIterable<Q>, context: CallContext) => AsyncIterable<S>;

/**
 * Handler of one RPC. It refuses by throwing an error of a known layer. An answer is sent when the promise resolves or
 * the value is yielded: whatever it acknowledges must be durable by then. Callers repeat calls whose answer was lost,
 * so a repeated request must give the same answer.
 */
export type Handler<M extends AnyMethod> =
  M extends UnaryMethod<infer Q, infer S>
    ? UnaryHandler<Q, S>
    : M extends ServerStreamMethod<infer Q, infer S>
      ? ServerStreamHandler<Q, S>
      : M extends DuplexMethod<infer Q, infer S>
        ? DuplexHandler<Q, S>
        : M extends Method<infer Q, infer S, true, false>
          ? ClientStreamHandler<Q, S>
          : never;

export type Handlers<S extends Service> = { readonly [K in keyof S]: Handler<S[K]> };

/** A service with its handlers, types forgotten: what `startServer` takes. */
export interface Implementation {
  readonly service: Service;
  readonly handlers: Readonly<Record<string, (...args: never[]) => unknown>>;
}

/** Ties handlers to their service: one for each RPC, none missing. */
export function implement<S extends Service>(service: S, handlers: Handlers<S>): Implementation {
  return { service, handlers: handlers as Implementation['handlers'] };
}
