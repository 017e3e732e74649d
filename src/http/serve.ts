import { createHttpApp, type HttpOptions } from './app.ts';
import { type ListeningHttp, listenHttp } from './listen.ts';

export type { ListeningHttp } from './listen.ts';

/** Serves a coordinator's read-only surface until disposed. @param port - 0 for any free one. */
export function serveHttp(options: HttpOptions, host: string, port: number): Promise<ListeningHttp> {
  return listenHttp(createHttpApp(options), host, port);
}
