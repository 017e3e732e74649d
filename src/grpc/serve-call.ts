import { once } from 'node:events';
import type { ServerDuplexStream, ServerReadableStream, ServerUnaryCall, ServerWritableStream } from '@grpc/grpc-js';
import type { ConnectionBound } from './connection-bound.ts';
import { TransportError } from './errors.ts';
import type { AuthContext, Gate } from './gate.ts';
import type { CallContext, DuplexHandler, ServerStreamHandler, UnaryHandler } from './handlers.ts';
import { inTime } from './in-time.ts';
import { IDLE_MS, SUM_MS, UNARY_MS } from './limits.ts';
import { AggregationService, type AnyMethod, MalformedMessage } from './services.ts';
import { type ErrorLayer, statusFor } from './status.ts';
import { eachUnless, unless } from './unless.ts';

/** What all calls of a server share. */
export interface CallRules {
  readonly gate: Gate;
  readonly connections: ConnectionBound;
  readonly layers: readonly ErrorLayer[];
  /** Told of errors of no known layer: faults of ours, to be logged. */
  readonly onFault: (path: string, error: unknown) => void;
  readonly unaryMs?: number;
  readonly idleMs?: number;
  /** Aborted when the server stops. */
  readonly stopping: AbortSignal;
}

// biome-ignore lint/suspicious/noExplicitAny: grpc-js types its handlers with any
type Message = any;
type Call = {
  getAuthContext(): AuthContext;
  /** `address:port` of the connection's remote end. */
  getPeer(): string;
  readonly cancelled: boolean;
  on(event: 'cancelled', listener: () => void): unknown;
};

/** A grpc-js handler for one RPC: gate, deadline, errors by name, backpressure. */
export function serveMethod(method: AnyMethod, handler: unknown, rules: CallRules): (...args: Message[]) => void {
  if (method.requestStream) {
    if (method.responseStream) {
      return (call: ServerDuplexStream<Message, Message>) =>
        void serveStream(method, call, rules, (context) =>
          (handler as DuplexHandler<Message, Message>)(requestsOf(call, context, rules), context),
        );
    }
    return (call: ServerReadableStream<Message, Message>, respond) =>
      void serveSingle(method, call, rules, respond, (context) =>
        (handler as (requests: AsyncIterable<Message>, context: CallContext) => Promise<Message>)(
          requestsOf(call, context, rules),
          context,
        ),
      );
  }
  if (method.responseStream) {
    return (call: ServerWritableStream<Message, Message>) =>
      void serveStream(method, call, rules, (context) =>
        (handler as ServerStreamHandler<Message, Message>)(wellFormed(call.request), context),
      );
  }
  return (call: ServerUnaryCall<Message, Message>, respond) =>
    void serveSingle(method, call, rules, respond, (context) =>
      inTime(
        rules.unaryMs ?? (method.path === AggregationService.sum.path ? SUM_MS : UNARY_MS),
        'DEADLINE',
        (handler as UnaryHandler<Message, Message>)(wellFormed(call.request), context),
      ),
    );
}

async function serveSingle(
  method: AnyMethod,
  call: Call,
  rules: CallRules,
  respond: (error: Message, response?: Message) => void,
  run: (context: CallContext) => Promise<Message>,
): Promise<void> {
  const end = new AbortController();
  let leave = (): void => {};
  try {
    const entered = enter(method, call, rules, end);
    leave = entered.leave;
    respond(null, await unless(entered.barred, run(entered.context)));
  } catch (error) {
    respond(tell(method, error, rules));
  } finally {
    leave();
    end.abort();
  }
}

async function serveStream(
  method: AnyMethod,
  call: Call & (ServerWritableStream<Message, Message> | ServerDuplexStream<Message, Message>),
  rules: CallRules,
  run: (context: CallContext) => AsyncIterable<Message>,
): Promise<void> {
  const end = new AbortController();
  let leave = (): void => {};
  call.on('error', () => end.abort()); // a cut connection; grpc-js ends the call with it
  try {
    const entered = enter(method, call, rules, end);
    leave = entered.leave;
    for await (const response of eachUnless(entered.barred, run(entered.context))) {
      if (end.signal.aborted) break;
      if (!call.write(response)) {
        const room = once(call, 'drain', { signal: end.signal });
        await unless(entered.barred, inTime(rules.idleMs ?? IDLE_MS, 'IDLE', room));
      }
    }
    entered.barred.throwIfAborted();
    if (rules.stopping.aborted && !call.cancelled) throw new TransportError('STOPPING', 'the party is stopping');
    call.end();
  } catch (error) {
    if (!call.cancelled && !call.destroyed) call.emit('error', tell(method, error, rules));
  } finally {
    leave();
    end.abort();
  }
}

function enter(
  method: AnyMethod,
  call: Call,
  rules: CallRules,
  end: AbortController,
): { context: CallContext; leave: () => void; barred: AbortSignal } {
  const remote = call.getPeer();
  rules.connections.called(remote, null); // where the gate throws it stays at that
  const { peer, leave, barred } = rules.gate.enter(method.path, call.getAuthContext());
  rules.connections.called(remote, peer);
  call.on('cancelled', () => end.abort());
  if (call.cancelled) end.abort();
  return { context: { peer, signal: AbortSignal.any([end.signal, rules.stopping, barred]) }, leave, barred };
}

/** Requests one by one: the next is read when the handler asks for it, and must come in time. */
async function* requestsOf(
  call: ServerReadableStream<Message, Message> | ServerDuplexStream<Message, Message>,
  context: CallContext,
  rules: CallRules,
): AsyncGenerator<Message> {
  // The ordinary iterator destroys the call at the end of the requests, before the answer is sent. What a refused caller
  // still sends stays unread, so its window closes.
  const iterator = call.iterator({ destroyOnReturn: false });
  while (true) {
    const next = await inTime(rules.idleMs ?? IDLE_MS, 'IDLE', iterator.next()).catch((error) => {
      if (error instanceof TransportError) throw error;
      throw new TransportError('CONNECTION_LOST', 'the stream was cut', { cause: error });
    });
    // A cut stream may look ended: only a caller that is still there has really finished.
    if (context.signal.aborted) throw new TransportError('CONNECTION_LOST', 'the stream was cut');
    if (next.done) return;
    yield wellFormed(next.value);
  }
}

function wellFormed(message: Message): Message {
  if (message instanceof MalformedMessage) {
    throw new TransportError('MALFORMED_MESSAGE', 'the message is not in its one spelling');
  }
  return message;
}

function tell(method: AnyMethod, error: unknown, rules: CallRules): ReturnType<typeof statusFor> {
  const status = statusFor(error, rules.layers);
  if (!status.known) rules.onFault(method.path, error);
  return status;
}
