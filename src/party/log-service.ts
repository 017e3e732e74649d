import { isRejection, ProtocolError } from '../../protocols/errors.ts';
import type { Kind } from '../../protocols/leaves.ts';
import { decodeLeaf } from '../../protocols/verified.ts';
import { TransportError } from '../grpc/errors.ts';
import { implement } from '../grpc/handlers.ts';
import { LogService } from '../grpc/services.ts';
import { StoreError } from '../store/errors.ts';
import type { PeerIdentity } from '../tls/identity.ts';
import type { LogKeeper } from './log-keeper.ts';

/** Kinds whose leaves name bytes that aggregators keep. */
const STORED: ReadonlySet<string> = new Set<Kind>(['upload', 'one-shot', 'confirm', 'reseal', 'answer']);

/** Bytes of leaves in one response; gRPC's limit is twice that. */
const RUN_BYTES = 1 << 20;

/** TLS keys that one party may name in an hour: the one kind of leaf that it could else write without end. */
const TLS_KEYS_PER_HOUR = 16;
const HOUR_MS = 3_600_000;

/** What the service needs of whoever keeps a log. */
export type ServedLog = Pick<LogKeeper, 'log' | 'append' | 'stopped' | 'onChange'>;

/** Serves the log: only what a cosigned head covers, and goes on as heads are published. */
export function logService(keeper: ServedLog, now: () => number = () => performance.now()) {
  /** When parties named TLS keys of late, by name. */
  const named = new Map<string, number[]>();
  const countTlsKey = (name: string): void => {
    const recent = (named.get(name) ?? []).filter((at) => now() - at < HOUR_MS);
    if (recent.length >= TLS_KEYS_PER_HOUR)
      throw new TransportError('TOO_MANY_CALLS', 'this party has named many TLS keys within the hour');
    named.set(name, [...recent, now()]);
  };
  const published = (): number => keeper.log.published?.checkpoint.size ?? -1;
  return implement(LogService, {
    append: async ({ leaf }, { peer }) => {
      if (checkCarrier(leaf, peer) === 'tls-key') countTlsKey(peer.name);
      return { leafIndex: BigInt(await keeper.append(leaf)) };
    },
    getCheckpoint: async () => {
      const newest = keeper.log.published;
      if (newest === undefined) throw new StoreError('NOT_FOUND', 'no checkpoint has its cosignatures yet');
      return { checkpoint: newest.note };
    },
    follow: async function* ({ fromIndex }, { signal }) {
      let next = Number(fromIndex);
      let shown = -1;
      while (!signal.aborted && !keeper.stopped) {
        const head = keeper.log.published;
        if (head === undefined || head.checkpoint.size <= shown || head.checkpoint.size < next) {
          await changeOf(keeper, signal, () => published() > shown && published() >= next);
          continue;
        }
        const { size } = head.checkpoint;
        while (next < size) {
          const leaves = cut(await keeper.log.entries(next, Math.min(size, next + 256)));
          const firstIndex = BigInt(next);
          next += leaves.length;
          yield { firstIndex, leaves: [...leaves], checkpoint: next === size ? head.note : new Uint8Array(0) };
        }
        if (shown < 0 && Number(fromIndex) === size)
          yield { firstIndex: BigInt(next), leaves: [], checkpoint: head.note };
        shown = size;
      }
    },
  });
}

/**
 * A leaf that names stored bytes comes through an aggregator, which has checked and kept them: logged without them it
 * would hold up its round for ever. Every other leaf is brought by its own actor, the root key's by an officer.
 *
 * @returns the leaf's kind. @throws ProtocolError WRONG_ROLE, and what `decodeLeaf` says.
 */
function checkCarrier(bytes: Uint8Array, peer: PeerIdentity): Kind {
  const leaf = decodeLeaf(bytes);
  if (isRejection(leaf)) throw new ProtocolError(leaf.rejected, leaf.why);
  // A member's answer is logged by itself, before an aggregator has it, and by the aggregator again.
  if (leaf.kind === 'answer' && peer.role === 'member' && leaf.actor === peer.name) return leaf.kind;
  const carrier = STORED.has(leaf.kind) ? 'aggregator' : leaf.actor === 'root' ? 'officer' : null;
  if (carrier === null ? leaf.actor !== peer.name : carrier !== peer.role) {
    throw new ProtocolError('WRONG_ROLE', 'the leaf comes from another party than may bring it');
  }
  return leaf.kind;
}

/** As many leaves as fit into one response, at least one. */
function cut(leaves: readonly Uint8Array[]): readonly Uint8Array[] {
  let bytes = 0;
  const end = leaves.findIndex((leaf, i) => {
    bytes += leaf.length;
    return i > 0 && bytes > RUN_BYTES;
  });
  return end < 0 ? leaves : leaves.slice(0, end);
}

function changeOf(keeper: ServedLog, signal: AbortSignal, ready: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      if (!ready() && !signal.aborted && !keeper.stopped) return;
      forget();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const forget = keeper.onChange(done);
    signal.addEventListener('abort', done);
    done();
  });
}
