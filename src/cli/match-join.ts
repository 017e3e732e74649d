import { existsSync, rmSync } from 'node:fs';
import { join as pathOf } from 'node:path';
import { toHex } from '../../crypto/encoding.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { overwriteFile, readKeyFile, readValidated, writeDurably, writeKeyFile } from '../config/files.ts';
import { Connection } from '../grpc/connection.ts';
import { MatchingService } from '../grpc/services.ts';
import { HOLDER_KEY_FILE } from '../matching/holder.ts';
import { type HolderLink, joinId, joinKeys } from '../matching/join.ts';
import { type KeySet, keySetField, keySetId, makeKeySet } from '../matching/key-set.ts';
import { canonicalColumn, keyColumn, withKeys } from '../matching/name-column.ts';
import type { NameKind } from '../matching/name-kinds.ts';
import { nodePrimitives as p } from '../platform/primitives-node.ts';
import { systemRng } from '../platform/rng.ts';
import { asking, type Caller, openCaller } from './caller.ts';
import { CliError, usageError } from './exit.ts';
import { readNames, writePrivate } from './match-files.ts';
import { counted, grouped, print } from './output.ts';

const KEY_SET_FILE = 'matching.json';
const BLIND_FILE = 'matching-blinding.key';
const CALL_MS = 30_000;
/** How long one batch may take at a holder that is away for a moment, in ms. */
const BATCH_MS = 60_000;

async function openSite(folder: string): Promise<Caller> {
  const caller = await openCaller(folder);
  if (caller.role === 'node') return caller;
  throw new CliError(
    'ROLE_REFUSED',
    `matching takes a node's certificate, and ${folder} is the folder of ${caller.name} (${caller.role})`,
  );
}

/** A connection to each of the named members, closed at the scope's end. */
function connectTo(caller: Caller, names: readonly string[]): Map<string, Connection> & Disposable {
  const connections = new Map<string, Connection>();
  for (const name of names) {
    const member = caller.federation.members.find((each) => each.name === name);
    if (member === undefined) {
      const known = caller.federation.members.map((each) => each.name).join(', ');
      throw usageError(`--holder: '${name}' is no member of the federation file, which has ${known}`);
    }
    const { address, tlsKeySha256 } = member;
    const expected = { pins: [tlsKeySha256], role: 'member' } as const;
    connections.set(name, new Connection({ address, tls: caller.tls, expected }));
  }
  const close = (): void => {
    for (const connection of connections.values()) connection.close();
  };
  return Object.assign(connections, { [Symbol.dispose]: close });
}

function readKeySet(caller: Caller): KeySet {
  const path = pathOf(caller.folder, KEY_SET_FILE);
  const kept = readValidated(path, 'the matching key set', keySetField, "'veilsum match keys' writes it");
  return makeKeySet(p, caller.genesis, caller.federation.genesisHash, kept.holders);
}

/** `veilsum match keys`: asks the holders for their keys, and keeps them. */
export async function fetchKeySet(
  folder: string,
  holders: readonly string[] | undefined,
  expected: string | undefined,
  renew: boolean,
): Promise<void> {
  const caller = await openSite(folder);
  const path = pathOf(folder, KEY_SET_FILE);
  const names = holders ?? caller.federation.members.map(({ name }) => name);
  using connections = connectTo(caller, names);
  const stated = await Promise.all(
    [...connections].map(async ([name, connection]) => {
      const call = () => connection.callOnce(MatchingService.getKey, {}, CALL_MS);
      const { publicKey, signature } = await asking(name, connection, call);
      return { name, publicKey: toHex(publicKey), signature: toHex(signature) };
    }),
  );
  const keySet = makeKeySet(p, caller.genesis, caller.federation.genesisHash, stated);
  const id = toHex(keySetId(p, keySet));
  if (expected !== undefined && expected !== id) {
    throw new CliError(
      'OTHER_KEY_SET',
      `the holders gave this site the key set ${id}, not the expected one: ask the other sites whose is right before anybody joins`,
    );
  }
  if (existsSync(path) && !renew) {
    const kept = toHex(keySetId(p, readKeySet(caller)));
    if (kept !== id) {
      throw new CliError(
        'KEY_SET_CHANGED',
        `the holders' keys are not those kept in ${path} (key set ${kept}): with --renew the new ones are kept, and every site has to join again`,
      );
    }
  }
  writeDurably(path, `${JSON.stringify(keySet, null, 2)}\n`);
  print(`Key set ${id}`);
  print(
    `of ${keySet.holders.map(({ name }) => name).join(', ')}: all of them are asked for every name, and no one less can evaluate any.`,
  );
  print('Compare it with the other sites by other means: keys meet only where it is the same (match keys --expect).');
}

/** The site's blinding secret: it lies beside the lists that it hides. */
function blindSeed(folder: string): SecretBytes {
  const path = pathOf(folder, BLIND_FILE);
  if (existsSync(path)) return readKeyFile(path, 'blinding key of matching');
  const seed = new SecretBytes('blinding key of matching', systemRng(32));
  writeKeyFile(path, seed);
  return seed;
}

export interface JoinRequest {
  readonly names: string;
  readonly column: string | undefined;
  readonly kind: NameKind;
  readonly purpose: string;
  readonly out: string;
}

/** `veilsum match join`: the table with join keys beside its names. */
export async function joinTable(folder: string, request: JoinRequest): Promise<void> {
  const { kind, purpose, out } = request;
  const { table, column } = readNames(request.names, request.column);
  if (table.columns.has(keyColumn(column))) {
    throw usageError(`${table.name} has a column "${keyColumn(column)}" already: name the table without keys`);
  }
  const canonicals = canonicalColumn(table, column, kind);
  const names = new Set(canonicals.filter((canonical) => canonical !== null));
  const caller = await openSite(folder);
  const keySet = readKeySet(caller);
  using connections = connectTo(
    caller,
    keySet.holders.map(({ name }) => name),
  );
  using seed = blindSeed(folder);
  let charged: string | null = null;
  const links = [...connections].map(([name, connection]): HolderLink => {
    const evaluate: HolderLink['evaluate'] = async (publicKey, blinded) => {
      const call = () =>
        connection.call(MatchingService.evaluate, { publicKey, blinded: [...blinded] }, { deadlineMs: BATCH_MS });
      const { evaluated, proof, spent, budget } = await asking(name, connection, call);
      charged = `${grouped(spent)} of ${grouped(budget)}`;
      return { elements: evaluated, proof };
    };
    return { name, evaluate };
  });
  let told = performance.now();
  const keys = await joinKeys(p, { keySet, kind, purpose }, links, seed, names, (done) => {
    if (performance.now() - told < 5000) return;
    told = performance.now();
    print(`${grouped(done)} of ${counted(names.size, 'name')}`);
  });
  writePrivate(out, withKeys(table, column, canonicals, keys));
  const blank = canonicals.filter((canonical) => canonical === null).length;
  print(
    `${out}: ${counted(names.size, 'organisation has', 'organisations have')} a join key in "${keyColumn(column)}" (join ${joinId(p, { keySet, kind, purpose })}); ${counted(blank, 'blank row has', 'blank rows have')} none`,
  );
  if (charged !== null) print(`Names that this organisation has had evaluated under this key: ${charged}`);
}

/** `veilsum match retire`: ends a member's part of the key, and with it the key. */
export function retireHolder(folder: string): void {
  const path = pathOf(folder, HOLDER_KEY_FILE);
  if (!existsSync(path))
    throw new CliError('NO_KEY', `${folder} holds no matching key: it is drawn when a site first asks for it`);
  overwriteFile(path);
  rmSync(path);
  print(
    `${path} is wiped. No name can be tried against the join keys of its key set any more, by anybody; sites that join`,
  );
  print("again run 'veilsum match keys --renew' first: a new key is drawn then, with budgets of its own.");
}
