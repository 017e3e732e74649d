import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fromBase64, fromUtf8 } from '../../crypto/encoding.ts';
import type { Policy } from '../../crypto/policy.ts';
import { isRejection } from '../../protocols/errors.ts';
import { parseVerifiedGenesis } from '../../protocols/genesis.ts';
import type { Body } from '../../protocols/leaves.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import type { Round, Transcript } from '../../protocols/transcript.ts';
import { ConfigError } from '../config/errors.ts';
import { type Federation, readFederation } from '../config/federation.ts';
import { Connection } from '../grpc/connection.ts';
import { TransportError } from '../grpc/errors.ts';
import { LogService } from '../grpc/services.ts';
import { LogReader } from '../party/log-reader.ts';
import { inert } from '../platform/inert-text.ts';
import { nodePrimitives as primitives } from '../platform/primitives-node.ts';
import type { TlsIdentity } from '../tls/context.ts';
import { checkInTime } from '../tls/expiry.ts';
import { loadTlsIdentity } from '../tls/files.ts';
import { identityOf } from '../tls/identity.ts';
import { CliError } from './exit.ts';

/** How long a command waits for the log to show its head, in ms. */
const LOG_MS = 60_000;
const CALL_MS = 10_000;

/** Who runs a command against a running federation: an officer from the founders' folder, or a party from its own. */
export interface Caller {
  readonly folder: string;
  readonly federation: Federation;
  readonly genesis: Body<'genesis'>;
  readonly policy: Policy;
  readonly tls: TlsIdentity;
  readonly name: string;
  readonly role: string;
  readonly coordinator: Connection;
}

/** @throws ConfigError, TlsError: what is missing and which command makes it. */
export async function openCaller(folder: string): Promise<Caller> {
  if (!existsSync(join(folder, 'federation.json'))) {
    throw new ConfigError(
      'FILE_MISSING',
      `${folder} is neither a founders' nor a party's folder (no federation.json): name one with --dir or VEILSUM_DIR`,
    );
  }
  const federation = readFederation(join(folder, 'federation.json'));
  const genesis = parseVerifiedGenesis(primitives, fromBase64(federation.genesis));
  if (isRejection(genesis))
    throw new ConfigError('INVALID', `${folder}/federation.json holds no valid genesis: ${genesis.why}`);
  const identityFolder = ['officer', 'tls']
    .map((name) => join(folder, name))
    .find((path) => existsSync(join(path, 'tls.crt')));
  if (identityFolder === undefined) {
    throw new ConfigError(
      'FILE_MISSING',
      `${folder} holds no certificate yet: run 'veilsum enrol' with its card, then 'veilsum keys join'`,
    );
  }
  const tls = await loadTlsIdentity(identityFolder);
  checkInTime(tls.certificates, Date.now());
  const { name, role } = identityOf(tls.certificates);
  const { address, tlsKeySha256 } = federation.coordinator;
  const coordinator = new Connection({ address, tls, expected: { pins: [tlsKeySha256], role: 'coordinator' } });
  return { folder, federation, genesis, policy: policyOf(primitives, genesis), tls, name, role, coordinator };
}

/** Refuses callers whose certificate the other side would refuse anyway, with words that help. */
export function requireOfficer(caller: Caller, what: string): void {
  if (caller.role === 'officer') return;
  throw new CliError(
    'ROLE_REFUSED',
    `${what} takes an officer's certificate, and ${caller.folder} is the folder of ${caller.name} (${caller.role}): use --dir with the founders' folder`,
  );
}

/** Does a call and, when it fails, says which party it went to. */
export async function asking<T>(who: string, connection: Connection, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    const hint = error.code === 'UNREACHABLE' || error.code === 'DEADLINE' ? ': is it running?' : '';
    throw new CliError(error.code, `${who} (${connection.address}): ${error.message}${hint}`, { cause: error });
  }
}

/** The log as it stands, read through and verified: signatures, tree, cosignatures, rules. */
export interface SeenLog {
  readonly transcript: Transcript;
  readonly size: number;
}

/** A reader for one command. Heads that contradict each other are kept in the caller's folder, and printed. */
export function logReaderOf({
  folder,
  policy,
  federation,
  coordinator,
}: Pick<Caller, 'folder' | 'policy' | 'federation' | 'coordinator'>): LogReader {
  return new LogReader({
    primitives,
    policy,
    genesisHash: federation.genesisHash,
    coordinator,
    records: null,
    say: () => {},
    onContradiction: async (heads) => {
      const { keepContradiction } = await import('../party/evidence.ts');
      const kept = await keepContradiction(folder, heads);
      const notes = [heads.smaller, heads.larger].map((note) => inert(fromUtf8(note)));
      process.stderr.write(
        `veilsum: two signed heads that cannot both be true, kept in ${kept}\n${notes.join('\n')}\n`,
      );
    },
  });
}

/** A reader that has caught up with the head that the coordinator shows now. Stop it afterwards. */
export async function followFrom(caller: Caller): Promise<LogReader> {
  const { coordinator, policy, federation } = caller;
  const { checkpoint } = await asking('the coordinator', coordinator, () =>
    coordinator.callOnce(LogService.getCheckpoint, {}, CALL_MS),
  ).catch(async (error: CliError) => {
    if (error.code !== 'NOT_FOUND') throw error;
    const { whyNoHead } = await import('./not-answering.ts');
    throw new CliError('NO_HEAD', await whyNoHead(caller), { cause: error });
  });
  const size = Number(new TextDecoder().decode(checkpoint.subarray(0, 512)).split('\n')[1]);
  const log = logReaderOf({ folder: caller.folder, policy, federation, coordinator });
  log.start();
  try {
    await log.until((t) => t.size >= size, AbortSignal.timeout(LOG_MS));
    return log;
  } catch (cause) {
    await log.stop();
    if ((cause as Error).name === 'TimeoutError')
      throw new CliError('DEADLINE', 'the coordinator did not send the log in time', { cause });
    throw cause;
  }
}

export async function readLogOnce(caller: Caller): Promise<SeenLog> {
  const log = await followFrom(caller);
  await log.stop();
  return { transcript: log.transcript, size: log.head!.size };
}

/** A round by the number within its task, or by (the beginning of) its id. @throws CliError UNKNOWN_ROUND, AMBIGUOUS */
export function findRound(t: Transcript, wanted: string, task: string | null): Round {
  const all = [...t.rounds.values()].filter((round) => task === null || round.record.task === task);
  const isNumber = /^[0-9]{1,7}$/.test(wanted);
  const found = all.filter((round) =>
    isNumber ? round.record.number === Number(wanted) : round.id.startsWith(wanted),
  );
  if (found.length === 1) return found[0]!;
  if (found.length === 0)
    throw new CliError('UNKNOWN_ROUND', `the log has no round ${wanted}: 'veilsum round list' shows what it has`);
  const tasks = [...new Set(found.map((round) => round.record.task))];
  throw new CliError(
    'AMBIGUOUS',
    tasks.length > 1
      ? `several tasks have a round ${wanted} (${tasks.join(', ')}): add --task`
      : `several rounds begin with ${wanted}: give more of the id`,
  );
}
