import { IncomingMessage, type RequestListener, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { readableTargets } from '../../src/http/listen.ts';

/** A request as Node's parser lets it through: see `requestOf`. */
export interface Asked {
  readonly method: string;
  readonly url: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Uint8Array;
}

export interface Answer {
  readonly status: number;
  readonly body: string;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, unknown>>;
}

const latin = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/**
 * What llhttp lets through of arbitrary bytes: tokens; a path, a URL or *, without white space and control characters; lines of
 * headers. Undefined for what it would refuse itself.
 */
export function requestOf(
  method: Uint8Array,
  url: Uint8Array,
  headers: Uint8Array,
  body: Uint8Array,
): Asked | undefined {
  if (!/^[A-Z-]{1,24}$/.test(latin(method)) || !/^(?:\/|\*|[a-z]+:\/\/)[\x21-\xff]*$/.test(latin(url)))
    return undefined;
  const lines = latin(headers)
    .split('\n')
    .flatMap((line) => {
      const match = /^([!#$%&'*+.^_`|~0-9a-z-]+): ([\x20-\x7e\x80-\xff]*)$/.exec(line);
      return match === null ? [] : [[match[1]!, match[2]!] as const];
    });
  return { method: latin(method), url: latin(url), headers: lines, body };
}

/** A request, answered without a socket. */
export function ask(app: RequestListener, { method, url, headers, body }: Asked): Promise<Answer> {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: '127.0.0.1' });
  const request = new IncomingMessage(socket);
  Object.assign(request, { method, url, httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1 });
  for (const [name, value] of headers) request.headers[name] = value;
  // Pushing nothing would end a stream of bytes for some consumers.
  if (body.length > 0) request.push(body);
  request.push(null);
  const response = new ServerResponse(request);
  const chunks: Buffer[] = [];
  return new Promise((resolve) => {
    response.writeHead = ((code: number) => {
      response.statusCode = code;
      return response;
    }) as never;
    response.write = (chunk: unknown) => chunks.push(Buffer.from(chunk as Uint8Array)) > 0;
    response.end = ((chunk: unknown, encoding?: BufferEncoding) => {
      if (typeof chunk === 'string') chunks.push(Buffer.from(chunk, encoding));
      else if (chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk));
      const sent = Buffer.concat(chunks).toString('utf8');
      resolve({ status: response.statusCode, body: sent, headers: response.getHeaders() });
      return response;
    }) as never;
    readableTargets(app)(request, response);
  });
}
