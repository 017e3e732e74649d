import { Metadata, ServerInterceptingCall, type ServerInterceptor, status as Status } from '@grpc/grpc-js';
import { CODE_METADATA } from './status.ts';

/**
 * Ends a call whose one request does not arrive whole in time. grpc-js runs no handler before it has, so neither gate nor
 * idle limit would ever see such a call, and its part of a message would stay in memory. Calls with a stream of requests
 * wait for each of them in `serve-call.ts`.
 *
 * @param limitMs - from the call's headers to the end of its request.
 */
export function requestInTime(limitMs: number): ServerInterceptor {
  return (method, call) => {
    if (method.requestStream) return new ServerInterceptingCall(call);
    let timer: NodeJS.Timeout | undefined;
    const late = (): void => {
      const metadata = new Metadata();
      metadata.set(CODE_METADATA, 'IDLE');
      call.sendStatus({ code: Status.DEADLINE_EXCEEDED, details: `no whole request in ${limitMs} ms`, metadata });
    };
    return new ServerInterceptingCall(call, {
      start: (next) => {
        timer = setTimeout(late, limitMs);
        next({
          onReceiveHalfClose: (proceed) => {
            clearTimeout(timer);
            proceed();
          },
          onCancel: () => clearTimeout(timer),
        });
      },
    });
  };
}
