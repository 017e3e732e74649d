import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { addSignatures, cosign, signCheckpoint } from '../../crypto/checkpoint.ts';
import { utf8 } from '../../crypto/encoding.ts';
import { HashTree } from '../../crypto/hash-tree.ts';
import { consistencyProof, inclusionProof, leafHash } from '../../crypto/merkle.ts';
import type { Signer } from '../../crypto/note.ts';
import { bundleBytes, parseTilePath, TILE_WIDTH, tileBytes, tileFits } from '../../crypto/tiles.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { logSigner, witnesses } from '../faults/log-fixture.ts';

/** A log of other people, as far as strangers see it: signed heads and files. Signs whatever a test asks for. */
export class TileLog {
  readonly signer: Signer;
  readonly entries: Uint8Array[] = [];
  readonly tree = new HashTree(p);
  /** What `file('checkpoint')` gives. */
  note: Uint8Array = new Uint8Array(0);
  size = 0;

  constructor(signer: Signer = logSigner) {
    this.signer = signer;
  }

  append(count: number, seed = 'entry'): this {
    for (let i = 0; i < count; i++) {
      const entry = utf8(`${seed} ${this.entries.length}`);
      this.entries.push(entry);
      this.tree.append(leafHash(p, entry));
    }
    return this;
  }

  /** A signed head, cosigned by the fixture's witnesses unless others are given. */
  head(size = this.entries.length, cosigners: readonly Signer[] = witnesses, time = 1_700_000_000): Uint8Array {
    const note = signCheckpoint(p, this.signer, {
      origin: this.signer.verifier.name,
      size,
      root: this.tree.root(size),
    });
    return addSignatures(
      note,
      cosigners.map((witness) => cosign(p, witness, note, time)),
    );
  }

  consistency(from: number, to = this.entries.length): Uint8Array[] {
    return consistencyProof(p, this.tree.read, from, to);
  }

  inclusion(index: number, size = this.entries.length): Uint8Array[] {
    return inclusionProof(p, this.tree.read, index, size);
  }

  /** Shows a head of this size from now on. */
  publish(size = this.entries.length, cosigners: readonly Signer[] = witnesses): this {
    this.size = size;
    this.note = this.head(size, cosigners);
    return this;
  }

  /** Another history under the same key: the same entries up to `at`, other ones after it. */
  fork(at: number, count: number): TileLog {
    const other = new TileLog(this.signer);
    other.append(at);
    return other.append(count, 'forked');
  }

  file(path: string): Uint8Array | undefined {
    if (path === 'checkpoint') return this.note;
    const ref = parseTilePath(path);
    if (ref === undefined || !tileFits(ref, this.size)) return undefined;
    if (ref.kind === 'hashes') return tileBytes(this.tree.read, ref);
    const first = ref.index * TILE_WIDTH;
    return bundleBytes(this.entries.slice(first, first + ref.width));
  }
}

export interface ServedFiles extends AsyncDisposable {
  readonly url: string;
  /** Paths in the order they were asked for. */
  readonly asked: string[];
}

/** Serves files by path, as any static web server does. */
export async function serveFiles(read: (path: string) => Uint8Array | undefined): Promise<ServedFiles> {
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    const path = request.url!.slice(1);
    asked.push(path);
    const bytes = read(path);
    response.writeHead(bytes === undefined ? 404 : 200).end(bytes);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
