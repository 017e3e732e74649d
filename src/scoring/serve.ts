import { closeSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { ConfigError } from '../config/errors.ts';
import { readRequired } from '../config/files.ts';
import { type ListeningHttp, listenHttp, type ServerCertificate } from '../http/listen.ts';
import type { Table } from '../learning/table.ts';
import { type Say, sayTo } from '../party/events.ts';
import type { Running } from '../party/running.ts';
import type { AccessLog } from './access-log.ts';
import { createScoringApp, type ScoringApi } from './api.ts';
import { currentSummaries } from './current-summaries.ts';
import { ScoringError } from './errors.ts';
import type { SummaryRequest } from './summaries.ts';
import { watchTokens } from './tokens.ts';

export interface ServeSettings
  extends Pick<ScoringApi, 'scores' | 'calibration' | 'about' | 'requestsPerMinute' | 'behindProxy'>,
    Pick<SummaryRequest, 'dimensions' | 'least'> {
  readonly table: Table;
  readonly tokensFile: string;
  /** Appended to; null: lines go to standard error, with the events. */
  readonly accessLogFile: string | null;
  readonly host: string;
  readonly port: number;
  readonly certificate: ServerCertificate | null;
}

export interface RunningScores extends Running {
  readonly organisations: number;
}

/**
 * Serves scores to sellers until stopped.
 *
 * @throws ScoringError INSECURE_LISTEN where tokens would cross a network in the clear, and those of `summarise`;
 *   ConfigError of the tokens file; the system's error when the address cannot be had.
 */
export async function serveScores(settings: ServeSettings): Promise<RunningScores> {
  const { scores, host, certificate, tokensFile } = settings;
  requireSafeListen(settings);
  const say = sayTo('scores', (line) => process.stderr.write(line));
  const tokens = watchTokens(tokensFile, Date.now, (fault) => {
    if (fault !== null) return say('tokens unusable', { error: fault.message, refused: 'everybody' });
    say('tokens read again', { sellers: tokens.sellers.length });
    try {
      summaries.meet(tokens.sellers);
    } catch (error) {
      say('summaries are hidden', { error: (error as Error).message });
    }
  });
  const summaries = currentSummaries(settings, tokens.sellers);
  const log = openAccessLog(settings.accessLogFile);
  try {
    const app = createScoringApp({ ...settings, tokens, summaries: () => summaries.now, accessLog: log.write });
    const server = await listenHttp(app, host, settings.port, certificate);
    return running(server, log, say, tokens.sellers.length, scores.organisations.length);
  } catch (error) {
    log.close();
    throw error;
  }
}

function running(
  server: ListeningHttp,
  log: { close: () => void },
  say: Say,
  sellers: number,
  organisations: number,
): RunningScores {
  say('listening', { address: server.url, sellers, organisations, pid: process.pid });
  return {
    address: server.url,
    organisations,
    stop: async () => {
      await server[Symbol.asyncDispose]();
      log.close();
    },
  };
}

/** A line is in the file before the next request is begun; a disk that is full does not stop sellers. */
function openAccessLog(path: string | null): { readonly write: AccessLog; close(): void } {
  if (path === null) return { write: (line) => void process.stderr.write(`${line}\n`), close: () => {} };
  const file = openSync(path, 'a', 0o600);
  return {
    write: (line) => {
      try {
        writeSync(file, `${line}\n`);
      } catch {
        process.stderr.write(`${line}\n`);
      }
    },
    close: () => closeSync(file),
  };
}

/** @throws ScoringError INSECURE_LISTEN where tokens would cross a network in the clear. */
export function requireSafeListen(at: Pick<ServeSettings, 'host' | 'certificate' | 'behindProxy'>): void {
  if (at.certificate !== null || at.behindProxy || isLoopback(at.host)) return;
  throw new ScoringError(
    'INSECURE_LISTEN',
    `${at.host} is not this machine alone, and tokens must not cross a network in the clear: give --tls-cert and --tls-key, or --behind-proxy where TLS ends in front of it`,
  );
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** @throws ConfigError FILE_MISSING, KEY_EXPOSED when others may read the key. */
export function readCertificate(certPath: string, keyPath: string): ServerCertificate {
  const cert = readRequired(certPath, 'the certificate').toString('utf8');
  readRequired(keyPath, "the certificate's key");
  if (process.platform !== 'win32' && (statSync(keyPath).mode & 0o077) !== 0)
    throw new ConfigError('KEY_EXPOSED', `others may read ${keyPath}: chmod 600 it, and replace the key if they did`);
  return { cert, key: readFileSync(keyPath, 'utf8') };
}
