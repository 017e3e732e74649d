import { HASH_BYTES, type HashReader } from '../../crypto/merkle.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { bundleBytes, parseBundle, TILE_WIDTH, type TileRef, tileHashReader, tilePath } from '../../crypto/tiles.ts';
import { readBody } from '../http/read-body.ts';
import { LogError } from './errors.ts';
import { folderReader } from './log-folder.ts';

/** Largest file of a log: a full bundle of the longest entries. */
const MAX_FILE_BYTES = TILE_WIDTH * (2 + 65_535);
const HTTP_MS = 30_000;

/** Files of somebody's log, by path below its prefix. Nothing that comes from it is verified. */
export interface LogSource {
  /** Where it is, in words for people. */
  readonly name: string;
  /** Undefined where there is no such file. @throws LogError UNREACHABLE, TOO_LARGE */
  read(path: string): Promise<Uint8Array | undefined>;
}

/** A folder that `exportLog` or a mirror wrote. */
function folderSource(folder: string): LogSource {
  const read = folderReader(folder);
  return { name: folder, read: async (path) => read(path) };
}

/** A log over HTTP (C2SP tlog-tiles). @param url - its prefix. Redirects are not followed. */
export function httpSource(url: string): LogSource {
  const base = url.endsWith('/') ? url : `${url}/`;
  return {
    name: url,
    read: async (path) => {
      const failed = (why: string, cause?: unknown): LogError => {
        return new LogError('UNREACHABLE', `${base}${path} ${why}`, { cause });
      };
      let response: Response;
      try {
        response = await fetch(base + path, { signal: AbortSignal.timeout(HTTP_MS), redirect: 'error' });
      } catch (cause) {
        throw failed('does not answer: is the log served there?', cause);
      }
      if (!response.ok) await response.body?.cancel();
      if (response.status === 404 || response.status === 410) return undefined;
      if (!response.ok) throw failed(`answered ${response.status}`);
      const bytes = await readBody(response, MAX_FILE_BYTES).catch((cause: unknown) => {
        throw failed('broke off', cause);
      });
      if (bytes === null) throw new LogError('TOO_LARGE', `${base}${path} is larger than any file of a log`);
      return bytes;
    },
  };
}

/** A URL or a folder, as people name a log. */
export function logSource(where: string): LogSource {
  return /^https?:\/\//.test(where) ? httpSource(where) : folderSource(where);
}

/** A file that must be there. @throws LogError NOT_FOUND, UNREACHABLE, TOO_LARGE */
export async function readRequired(source: LogSource, path: string): Promise<Uint8Array> {
  const bytes = await source.read(path);
  if (bytes === undefined) throw new LogError('NOT_FOUND', `${source.name} has no ${path}`);
  return bytes;
}

/**
 * A tile or bundle of the tree that is read. Where a log has dropped a partial one since the full one came, it is cut from
 * that (C2SP tlog-tiles).
 *
 * @throws LogError NOT_FOUND; BAD_FILES when it is of another width; and as `LogSource.read`.
 */
export async function readTile(source: LogSource, ref: TileRef): Promise<Uint8Array> {
  const bytes = await source.read(tilePath(ref));
  if (bytes !== undefined) return requireWidth(bytes, ref, source);
  if (ref.width === TILE_WIDTH) throw new LogError('NOT_FOUND', `${source.name} has no ${tilePath(ref)}`);
  const full: TileRef = { ...ref, width: TILE_WIDTH };
  const whole = requireWidth(await readRequired(source, tilePath(full)), full, source);
  if (ref.kind === 'hashes') return whole.slice(0, ref.width * HASH_BYTES);
  return bundleBytes(parseBundle(whole, TILE_WIDTH).slice(0, ref.width));
}

function requireWidth(bytes: Uint8Array, ref: TileRef, source: LogSource): Uint8Array {
  const wrong = new LogError('BAD_FILES', `${source.name}: ${tilePath(ref)} is not of its width`);
  if (ref.kind === 'hashes' && bytes.length !== ref.width * HASH_BYTES) throw wrong;
  if (ref.kind === 'hashes') return bytes;
  try {
    parseBundle(bytes, ref.width);
  } catch {
    throw wrong;
  }
  return bytes;
}

/**
 * Computes something from the tiles of a tree, such as a proof, fetching only those that it reads. The tiles are not
 * checked: what comes out is to be verified against a root.
 *
 * @param compute - deterministic; run once on zeros to learn which tiles it reads, then on the tiles.
 */
export async function fromTiles<T>(
  p: Primitives,
  source: LogSource,
  size: number,
  compute: (read: HashReader) => T,
): Promise<T> {
  const wanted = new Map<string, TileRef>();
  const zeros = tileHashReader(p, size, (ref) => {
    wanted.set(tilePath(ref), ref);
    return new Uint8Array(ref.width * HASH_BYTES);
  });
  compute(zeros);
  const tiles = new Map<string, Uint8Array>();
  for (const [path, ref] of wanted) tiles.set(path, await readTile(source, ref));
  return compute(tileHashReader(p, size, (ref) => tiles.get(tilePath(ref))!));
}
