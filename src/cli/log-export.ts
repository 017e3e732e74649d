import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseCheckpoint } from '../../crypto/checkpoint.ts';
import { fromBase64 } from '../../crypto/encoding.ts';
import { makeSigner, parseNote } from '../../crypto/note.ts';
import { tilePath, tilesOf } from '../../crypto/tiles.ts';
import { isRejection } from '../../protocols/errors.ts';
import { parseVerifiedGenesis } from '../../protocols/genesis.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { ConfigError } from '../config/errors.ts';
import { readFederation } from '../config/federation.ts';
import { readKeyFile, writeDurably } from '../config/files.ts';
import { checkpointSeed } from '../keys/card.ts';
import { FOLDER, readCard } from '../keys/party-folder.ts';
import { exportLog } from '../log/log-folder.ts';
import { LogStore } from '../log/log-store.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { openStore } from '../store/open-store.ts';
import { CliError } from './exit.ts';

export interface Exported {
  /** Leaves. */
  readonly size: number;
  /** Files that were not there before. */
  readonly written: number;
}

/** Largest file that is taken over HTTP: a full bundle of the longest entries. */
const MAX_FILE_BYTES = 256 * (2 + 65_535);
const HTTP_MS = 30_000;

/** From the coordinator's own store; it may run meanwhile. */
export async function exportFromFolder(folder: string, out: string): Promise<Exported> {
  if (!existsSync(join(folder, FOLDER.card)) || readCard(join(folder, FOLDER.card)).role !== 'coordinator') {
    throw new ConfigError(
      'FILE_MISSING',
      `${folder} is not a coordinator's folder: name it with --dir, or use --from URL`,
    );
  }
  const federation = readFederation(join(folder, FOLDER.federation));
  const genesis = parseVerifiedGenesis(nodePrimitives, fromBase64(federation.genesis));
  if (isRejection(genesis))
    throw new ConfigError('INVALID', `the federation file holds no valid genesis: ${genesis.why}`);
  using identity = readKeyFile(join(folder, FOLDER.identity), 'identity key');
  const signer = makeSigner(nodePrimitives, 'ed25519', genesis.origin, checkpointSeed(nodePrimitives, identity));
  await using store = await openStore(join(folder, FOLDER.state));
  const log = await LogStore.open({
    primitives: nodePrimitives,
    records: store.records,
    signer,
    policy: policyOf(nodePrimitives, genesis),
  });
  const written = await exportLog(log, out);
  return { size: log.published!.checkpoint.size, written };
}

async function get(url: string): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(HTTP_MS), redirect: 'error' });
  } catch (cause) {
    throw new CliError('UNREACHABLE', `${url} does not answer: is the coordinator running with --http?`, { cause });
  }
  if (!response.ok) throw new CliError('NOT_FOUND', `${url} answered ${response.status}`);
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length > MAX_FILE_BYTES) throw new CliError('TOO_LARGE', `${url} sent more than a file of a log has`);
  return bytes;
}

/** Over HTTP. Nothing is verified here: that is the audit's work. */
export async function exportFromUrl(url: string, out: string): Promise<Exported> {
  const base = url.endsWith('/') ? url : `${url}/`;
  const note = await get(`${base}checkpoint`);
  const { size } = parseCheckpoint(parseNote(note).text);
  let written = 0;
  for (const ref of tilesOf(size)) {
    const path = tilePath(ref);
    if (existsSync(join(out, path))) continue; // tiles never change; the audit reads every byte
    writeDurably(join(out, path), await get(base + path));
    written++;
  }
  writeDurably(join(out, 'checkpoint'), note);
  return { size, written: written + 1 };
}
