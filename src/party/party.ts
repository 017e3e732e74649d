import { join } from 'node:path';
import { fromUtf8 } from '../../crypto/encoding.ts';
import { makeSigner } from '../../crypto/note.ts';
import type { Policy } from '../../crypto/policy.ts';
import { isRejection } from '../../protocols/errors.ts';
import { parseVerifiedGenesis } from '../../protocols/genesis.ts';
import type { Body, Kind } from '../../protocols/leaves.ts';
import { policyOf, witnessKeyName } from '../../protocols/log-policy.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { makeLeaf, type Signer } from '../../protocols/verified.ts';
import { ConfigError } from '../config/errors.ts';
import { splitAddress } from '../config/federation.ts';
import type { Connection } from '../grpc/connection.ts';
import { ENROLMENT_LAYER } from '../grpc/enrolment-status.ts';
import { type Implementation, implement } from '../grpc/handlers.ts';
import { MATCHING_LAYER } from '../grpc/matching-status.ts';
import { type RunningServer, startServer } from '../grpc/server.ts';
import { LogService, PartyService } from '../grpc/services.ts';
import { STORE_LAYER } from '../grpc/store-status.ts';
import { checkpointSeed } from '../keys/card.ts';
import { FOLDER, openPartyFolder, type PartyFolder } from '../keys/party-folder.ts';
import { nodePrimitives as primitives } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/port.ts';
import { checkInTime, watchExpiry } from '../tls/expiry.ts';
import { DutyLoop } from './duty-loop.ts';
import { type Say, sayTo } from './events.ts';
import { keepContradiction, keepOtherLeaves } from './evidence.ts';
import { Links } from './links.ts';
import { LogReader } from './log-reader.ts';
import { wipeIfRevoked } from './revoked.ts';
import { RoundFiles } from './round-files.ts';
import { isBarred, isReplaced } from './standing.ts';
import { VERSION } from './version.ts';

/** What every party process has: its folder and keys, its store, the log as it sees it, connections, a server. */
export interface Party {
  readonly folder: PartyFolder;
  /** Where the folder lies. */
  readonly path: string;
  readonly name: string;
  readonly genesis: Body<'genesis'>;
  /** host:port that its server binds: the card's address unless it is told another one. */
  readonly listen: string;
  readonly policy: Policy;
  readonly store: Store;
  readonly rounds: RoundFiles;
  /** Every connection of the party, under the certificate that it has at the time. */
  readonly links: Links;
  readonly coordinator: Connection;
  readonly aggregators: readonly Connection[];
  readonly say: Say;
  /** Signs a leaf of this party, with the present time. */
  leaf<K extends Kind>(kind: K, body: Body<K>): Uint8Array;
  /** Signs and appends a leaf. @returns its index. Appending the same leaf again gives the same index. */
  append(leaf: Uint8Array): Promise<number>;
}

/**
 * Opens a party's folder.
 *
 * @param stateFolder - where its store lies; the aggregators of one machine share one.
 * @param listen - host:port to bind where that is not the card's address: behind NAT, in a container.
 */
export async function openParty(folder: string, stateFolder?: string, listen?: string): Promise<Party> {
  const party = await openPartyFolder(folder);
  const { card, federation, tls, identity } = party;
  checkInTime(tls.certificates, Date.now());
  const genesis = parseVerifiedGenesis(primitives, party.genesisLeaf);
  if (isRejection(genesis))
    throw new ConfigError('INVALID', `the federation file holds no valid genesis: ${genesis.why}`);
  const say = sayTo(card.name, (line) => process.stderr.write(line));
  const links = new Links(folder, federation, tls, say);
  const coordinator = links.connect(federation.coordinator, 'coordinator');
  const signer: Signer = { name: card.name, log: federation.genesisHash, secret: identity };
  return {
    folder: party,
    path: folder,
    name: card.name,
    genesis,
    listen: listen ?? card.address,
    policy: policyOf(primitives, genesis),
    store: await openStore(stateFolder ?? join(folder, FOLDER.state)),
    rounds: new RoundFiles(join(folder, FOLDER.rounds)),
    links,
    coordinator,
    aggregators: federation.aggregators.map((endpoint) => links.connect(endpoint, 'aggregator')),
    say,
    leaf: (kind, body) => makeLeaf(primitives, signer, kind, body, Date.now()),
    append: async (leaf) => Number((await coordinator.call(LogService.append, { leaf })).leafIndex),
  };
}

/** A reader of the log for this party. @param keepHead - not for aggregators, which share a store and hold no state. */
export function readLog(party: Party, keepHead = true): LogReader {
  return new LogReader({
    primitives,
    policy: party.policy,
    genesisHash: party.folder.federation.genesisHash,
    coordinator: party.coordinator,
    records: keepHead ? party.store.records : null,
    say: party.say,
    onContradiction: async (heads, later) => {
      const evidence = await keepContradiction(party.path, heads);
      const [shown, seen] = later === 'larger' ? [heads.larger, heads.smaller] : [heads.smaller, heads.larger];
      party.say('two heads contradict each other', { evidence, seen: fromUtf8(seen), shown: fromUtf8(shown) });
    },
    onOtherLeaves: (head, root) => {
      const evidence = keepOtherLeaves(party.path, head, root);
      party.say('the leaves do not hash to the signed head', { evidence, shown: fromUtf8(head) });
    },
  });
}

/** The key with which a member or witness cosigns checkpoints. */
export function witnessSigner(party: Party) {
  const seed = checkpointSeed(primitives, party.folder.identity);
  return makeSigner(primitives, 'cosignature', witnessKeyName(party.genesis.origin, party.name), seed);
}

/**
 * Starts the party's gRPC server where it listens, with the status service beside what it serves.
 *
 * @param seen - the log as this party knows it: whom it bars is refused. Null where the party reads no leaves.
 */
export async function serve(
  party: Party,
  services: readonly Implementation[],
  logSize: () => number,
  seen: () => Transcript | null,
): Promise<RunningServer> {
  const { address, role } = party.folder.card;
  const status = implement(PartyService, {
    status: async () => ({ name: party.name, role, version: VERSION, logSize: BigInt(logSize()), ready: true }),
  });
  const server = await startServer({
    ...splitAddress(party.listen),
    tls: party.links.tls,
    services: [...services, status],
    layers: [STORE_LAYER, ENROLMENT_LAYER, MATCHING_LAYER],
    isRevoked: (peer) => isBarred(seen(), peer),
    isReplaced: (peer) => isReplaced(seen(), peer),
    onFault: (path, error) =>
      party.say('fault', { path, error: error instanceof Error ? `${error.name}: ${error.message}` : 'unknown' }),
  });
  party.say('listening', { address: server.address, reachedAt: address, role, pid: process.pid });
  const forget = watchExpiry(
    () => party.links.tls.certificates,
    ({ event, until, days }) => party.say(event, { until, days }),
  );
  const unwatch = party.links.watch(server);
  return {
    ...server,
    stop: (graceMs) => {
      forget();
      unwatch();
      return server.stop(graceMs);
    },
  };
}

/** A party that does duties as the log grows. @param act - does one duty; false when there is none. */
export async function runDuties(
  party: Party,
  services: readonly Implementation[],
  act: (log: LogReader) => Promise<boolean>,
  everyMs = 1000,
): Promise<{ readonly log: LogReader; readonly address: string; stop(): Promise<void> }> {
  const log = readLog(party);
  const server = await serve(
    party,
    services,
    () => log.head?.size ?? 0,
    () => log.transcript,
  );
  let isOut = false;
  const next = async (): Promise<boolean> => {
    if (log.failure === null) return log.isCaughtUp && (await act(log));
    if (!isOut) isOut = wipeIfRevoked(party, log.failure);
    return false;
  };
  const loop = new DutyLoop(next, party.say);
  log.onHead(() => {
    party.links.follow(log.transcript);
    server.recheckCallers();
    loop.poke();
  });
  log.start();
  loop.start(everyMs);
  return {
    log,
    address: server.address,
    stop: async () => {
      await loop.stop();
      await log.stop();
      await server.stop();
      await party.store[Symbol.asyncDispose]();
    },
  };
}

export { primitives, systemRng as rng };
