import { signCheckpoint } from '../../../crypto/checkpoint.ts';
import { bytesEqual, toHex, utf8 } from '../../../crypto/encoding.ts';
import { HashTree } from '../../../crypto/hash-tree.ts';
import { consistencyProof, leafHash } from '../../../crypto/merkle.ts';
import { makeSigner, parseSignatures, verifySignature } from '../../../crypto/note.ts';
import { SecretBytes } from '../../../crypto/secret.ts';
import { formatWitnessRequest, parseWitnessRequest } from '../../../crypto/witness-request.ts';
import { isRejection } from '../../../protocols/errors.ts';
import { openHead, type SignedHead } from '../../../protocols/witness.ts';
import { createWitnessApp } from '../../../src/http/witness-app.ts';
import { LogWitness } from '../../../src/log/log-witness.ts';
import { encodeParts } from '../../../src/party/parts.ts';
import { nodePrimitives as p } from '../../../src/platform/primitives-node.ts';
import type { RecordStore } from '../../../src/store/port.ts';
import { ask, requestOf } from '../ask.ts';
import { BrokenLaw, law, partsOf, type Target } from '../target.ts';

const ORIGIN = 'fuzz.example/witnessed';
const ORIGIN_HASH = toHex(p.sha256(utf8(ORIGIN)));
const seed = (name: string): SecretBytes => new SecretBytes(name, p.sha256(utf8(name)));
const log = makeSigner(p, 'ed25519', ORIGIN, seed('witnessed'));
const witness = makeSigner(p, 'cosignature', 'w.example', seed('w'));
const tree = new HashTree(p);
for (let i = 0; i < 300; i++) tree.append(leafHash(p, utf8(`entry ${i}`)));
const headOf = (size: number): Uint8Array => signCheckpoint(p, log, { origin: ORIGIN, size, root: tree.root(size) });
const bodyOf = (oldSize: number, size: number): Uint8Array =>
  formatWitnessRequest({ oldSize, proof: consistencyProof(p, tree.read, oldSize, size), note: headOf(size) });

/** What a witness needs of a store, in memory. */
function memoryRecords(): RecordStore {
  const rows = new Map<string, Uint8Array>();
  const get = async (table: string, key: string) => rows.get(`${table} ${key}`);
  const put = async (table: string, key: string, value: Uint8Array) => void rows.set(`${table} ${key}`, value);
  return { get, transact: (step: (tx: unknown) => Promise<unknown>) => step({ get, put }) } as unknown as RecordStore;
}

function opened(note: Uint8Array): SignedHead {
  const head = openHead(p, [log.verifier], note);
  if (isRejection(head)) throw new BrokenLaw('what is cosigned is signed by its log, and what is held is served');
  return head;
}

/** Size and root of the head that the witness holds of the log. */
async function heldBy(server: LogWitness) {
  const note = await server.checkpointOf(ORIGIN_HASH);
  return opened(note ?? new Uint8Array(0));
}

const call = (method: string, url: string, body: Uint8Array, headers = ''): Uint8Array =>
  encodeParts([utf8(method), utf8(url), utf8(headers), body]);
const add = (body: Uint8Array, headers?: string): Uint8Array => call('POST', '/add-checkpoint', body, headers);

/** A witness's address, which anybody may call. */
export const witnessServer: readonly Target[] = [
  {
    name: 'witness-server',
    reads: 'HTTP requests to a witness (C2SP tlog-witness)',
    slowdown: 4,
    form: ['bytes', 'text', 'text', 'text'],
    seeds: () => [
      add(bodyOf(100, 300)),
      add(bodyOf(100, 100), 'content-type: text/plain\naccept: */*'),
      call('GET', `/${ORIGIN_HASH}/checkpoint`, new Uint8Array(0)),
    ],
    words: [
      '/add-checkpoint',
      '/checkpoint',
      'old ',
      '\n\n',
      '\u2014 ',
      ORIGIN,
      'content-encoding: gzip',
      'POST',
      '%00',
    ],
    refusals: {},
    async run(input) {
      const none = new Uint8Array(0);
      const [method = none, url = none, headers = none, body = none] = partsOf(input) ?? [];
      const asked = requestOf(method, url, headers, body);
      if (asked === undefined) return false;
      const records = memoryRecords();
      const faults: unknown[] = [];
      const server = new LogWitness({ primitives: p, records, signer: witness, logs: [log.verifier], now: () => 1e9 });
      await server.addCheckpoint(bodyOf(0, 100));
      const app = createWitnessApp({
        witness: server,
        requestsPerMinute: Number.MAX_SAFE_INTEGER,
        onFault: (fault) => faults.push(fault),
      });
      // Node's server counts what it hands over: a body that is longer or shorter never gets here.
      const length = ['content-length', String(body.length)] as const;
      const others = asked.headers.filter(([name]) => name !== 'content-length' && name !== 'transfer-encoding');
      const answer = await ask(app, { ...asked, headers: [...others, length] });
      law(faults.length === 0, 'nothing a stranger sends is a fault of the witness');
      const known = [200, 400, 403, 404, 405, 409, 413, 415, 422];
      law(known.includes(answer.status), `a request is answered or refused by name, not with ${answer.status}`);
      const held = await heldBy(server);
      law(held.size >= 100 && bytesEqual(held.root, tree.root(held.size)), 'only the one history is cosigned');
      if (answer.status === 409) {
        law(answer.headers['content-type'] === 'text/x.tlog.size', 'a conflict says the size held');
        law(answer.body === `${held.size}\n`, 'a conflict says the size held');
      }
      if (answer.status !== 200) return false;
      if (asked.method !== 'POST') return true;
      const [line, ...more] = parseSignatures(answer.body);
      const { text } = opened(parseWitnessRequest(body).note);
      const isGood = verifySignature(p, witness.verifier, text, line!) !== undefined;
      law(more.length === 0 && isGood, 'the answer is one cosignature');
      return true;
    },
  },
];
