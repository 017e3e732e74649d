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
import { httpSource, readRequired } from '../log/log-source.ts';
import { LogStore } from '../log/log-store.ts';
import { nodePrimitives } from '../platform/primitives-node.ts';
import { openStore } from '../store/open-store.ts';

export interface Exported {
  /** Leaves. */
  readonly size: number;
  /** Files that were not there before. */
  readonly written: number;
}

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

/** Over HTTP. Nothing is verified here: that is the audit's work. */
export async function exportFromUrl(url: string, out: string): Promise<Exported> {
  const source = httpSource(url);
  const note = await readRequired(source, 'checkpoint');
  const { size } = parseCheckpoint(parseNote(note).text);
  let written = 0;
  for (const ref of tilesOf(size)) {
    const path = tilePath(ref);
    if (existsSync(join(out, path))) continue; // tiles never change; the audit reads every byte
    writeDurably(join(out, path), await readRequired(source, path));
    written++;
  }
  writeDurably(join(out, 'checkpoint'), note);
  return { size, written: written + 1 };
}
