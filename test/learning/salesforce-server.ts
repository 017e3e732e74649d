import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const folder = process.env['VEILSUM_VECTORS'];

/** Recorded shapes of Salesforce's answers, and records of a public sample; null where they are not on this machine. */
export const shapes = folder === undefined ? null : loadShapes(join(folder, 'salesforce'));

function loadShapes(path: string) {
  const read = (name: string) => JSON.parse(readFileSync(join(path, name), 'utf8'));
  const recorded = read('simple_salesforce_shapes.json') as {
    token_response: Record<string, string>;
    query_pages: Record<string, unknown>[];
    error_envelope: { errorCode: string; message: string }[];
    sforce_limit_info_headers: string[];
  };
  const leads = read('trailhead_easy_spaces_Leads.json') as { records: Record<string, unknown>[] };
  return { ...recorded, leads: leads.records };
}

/** What the server answers one request with. */
export interface Answer {
  readonly status?: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Request {
  readonly path: string;
  readonly authorization: string;
  readonly form: URLSearchParams;
}

/** Null: the server takes the request and says nothing. */
export type Answering = (request: Request, server: SalesforceServer) => Answer | null;

/** A server in the place of a Salesforce org: the recorded shapes, filled by a test. */
export class SalesforceServer implements AsyncDisposable {
  readonly requests: Request[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(answer: Answering): Promise<SalesforceServer> {
    const http = createServer(async (incoming, response) => {
      const request = await received(incoming);
      server.requests.push(request);
      const given = answer(request, server);
      if (given === null) return;
      const { status = 200, body, headers } = given;
      response.writeHead(status, { 'content-type': 'application/json;charset=UTF-8', ...headers });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    });
    const server = new SalesforceServer(http);
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The recorded token response, for this server. */
  token(accessToken = 'token-1'): Answer {
    return { body: { ...shapes!.token_response, access_token: accessToken, instance_url: this.url } };
  }

  /** One page in the recorded shape. @param next - the locator of the page after it. */
  page(records: readonly object[], totalSize: number, next?: string): Answer {
    const [first, last] = shapes!.query_pages;
    const shape = next === undefined ? last : { ...first, nextRecordsUrl: `/services/data/v62.0/query/${next}` };
    return {
      body: { ...shape, totalSize, records },
      headers: { 'sforce-limit-info': shapes!.sforce_limit_info_headers[0]! },
    };
  }

  /** The recorded error envelope with another code. */
  error(status: number, errorCode = shapes!.error_envelope[0]!.errorCode): Answer {
    return { status, body: [{ ...shapes!.error_envelope[0], errorCode, message: `quoted: c4nary ${errorCode}` }] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

async function received(incoming: IncomingMessage): Promise<Request> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const form = new URLSearchParams(Buffer.concat(chunks).toString());
  return { path: incoming.url!, authorization: incoming.headers.authorization ?? '', form };
}
