import { fromUtf8, utf8 } from '../../../crypto/encoding.ts';
import { parseTilePath } from '../../../crypto/tiles.ts';
import { createHttpApp } from '../../../src/http/app.ts';
import { escapeHtml } from '../../../src/http/html.ts';
import { encodeParts } from '../../../src/party/parts.ts';
import { ask, requestOf } from '../ask.ts';
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
      const asked = requestOf(method, url, headers, new Uint8Array(0));
      if (asked === undefined) return false;
      const { status, body, headers: answered } = await ask(app, asked);
      law([200, 304, 400, 404, 405].includes(status), `a request is answered or refused by name, not with ${status}`);
      law(!/[\r\n]/.test(String(answered['location'] ?? '')), 'no header is split');
      law(
        status <= 400 || /^\{"type":"about:blank"/.test(body) || asked.method === 'HEAD',
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
