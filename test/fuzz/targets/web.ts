import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { fromUtf8, utf8 } from '../../../crypto/encoding.ts';
import { parseTilePath } from '../../../crypto/tiles.ts';
import { createHttpApp } from '../../../src/http/app.ts';
import { escapeHtml } from '../../../src/http/html.ts';
import { readableTargets } from '../../../src/http/listen.ts';
import { encodeParts } from '../../../src/party/parts.ts';
import { law, partsOf, type Target } from '../target.ts';

const TILE = utf8('tile bytes');

const app = createHttpApp({
  log: {
    origin: 'fuzz.veilsum.example/log',
    published: undefined,
    file: async (path) => (path === 'checkpoint' || parseTilePath(path) !== undefined ? TILE : undefined),
  },
  rounds: async () => [],
  requestsPerMinute: Number.MAX_SAFE_INTEGER,
});

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: string;
}

/** A request as Node's parser would have made it, answered without a socket. */
function ask(method: string, url: string, headers: readonly (readonly [string, string])[]): Promise<Answer> {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: '127.0.0.1' });
  const request = new IncomingMessage(socket);
  Object.assign(request, { method, url, httpVersion: '1.1', httpVersionMajor: 1, httpVersionMinor: 1 });
  for (const [name, value] of headers) request.headers[name] = value;
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
      const body = Buffer.concat(chunks).toString('utf8');
      resolve({ status: response.statusCode, body, headers: JSON.stringify(response.getHeaders()) });
      return response;
    }) as never;
    readableTargets(app)(request, response);
  });
}

const request = (method: string, url: string, headers = ''): Uint8Array =>
  encodeParts([method, url, headers].map(utf8));

export const web: readonly Target[] = [
  {
    name: 'http',
    reads: 'HTTP requests to the read-only surface',
    slowdown: 2,
    form: ['bytes', 'text', 'text'],
    seeds: () => [
      request('GET', '/checkpoint'),
      request('GET', '/tile/entries/x001/234.p/7'),
      request('HEAD', '/'),
      request('GET', 'http://host/tile/0/000'),
      request('GET', '/healthz?x=1', 'host: a\nx-forwarded-for: 1.2.3.4\nrange: bytes=0-1\nif-none-match: *'),
      request('GET', '/rounds.css'),
    ],
    words: [
      '/tile/',
      '/checkpoint',
      '%2f',
      '%00',
      '%',
      '..',
      '//',
      '?',
      '#',
      'POST',
      'OPTIONS',
      'range: ',
      'host: ',
      'accept: ',
    ],
    refusals: {},
    async run(input) {
      const [method = utf8(''), url = utf8(''), headers = utf8('')] = partsOf(input) ?? [];
      const latin = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
      // What llhttp lets through: tokens; a path, a URL or *, without white space and control characters.
      if (!/^[A-Z-]{1,24}$/.test(latin(method)) || !/^(?:\/|\*|[a-z]+:\/\/)[\x21-\xff]*$/.test(latin(url)))
        return false;
      const lines = latin(headers)
        .split('\n')
        .flatMap((line) => {
          const match = /^([!#$%&'*+.^_`|~0-9a-z-]+): ([\x20-\x7e\x80-\xff]*)$/.exec(line);
          return match === null ? [] : [[match[1]!, match[2]!] as const];
        });
      const { status, body, headers: answered } = await ask(latin(method), latin(url), lines);
      law([200, 304, 400, 404, 405].includes(status), `a request is answered or refused by name, not with ${status}`);
      law(!/[\r\n]/.test(JSON.parse(answered).location ?? ''), 'no header is split');
      law(
        status <= 400 || /^\{"type":"about:blank"/.test(body) || latin(method) === 'HEAD',
        'a refusal is a problem of ours',
      );
      return status < 400;
    },
  },
  {
    name: 'html',
    reads: 'names on their way into the page of rounds',
    form: 'text',
    seeds: () => ['<b>"node"&\'', 'plain', '\u202eevil\u0007'].map(utf8),
    words: ['<', '>', '&', '"', "'", '&lt;', '\u202e', '\u2066', '</script>'],
    refusals: { CryptoError: ['BAD_ENCODING'] },
    run(input) {
      const escaped = escapeHtml(fromUtf8(input));
      law(
        !/[<>"']|&(?!(?:amp|lt|gt|quot|#39);)|[\p{Cc}\u202a-\u202e\u2066-\u2069]/u.test(escaped),
        'no markup and no control characters',
      );
      return true;
    },
  },
];
