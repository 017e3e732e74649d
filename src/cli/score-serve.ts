import { addressField, splitAddress } from '../config/federation.ts';
import { readCertificate, requireSafeListen, serveScores } from '../scoring/serve.ts';
import { readSellers } from '../scoring/tokens.ts';
import { usageError } from './exit.ts';
import { grouped, print } from './output.ts';
import { runUntilSignal } from './run-until-signal.ts';
import { type ScoreFlags, scoreOf } from './score-run.ts';

export interface ServeFlags extends ScoreFlags {
  readonly tokens?: string;
  readonly listen: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly behindProxy?: boolean;
  readonly accessLog?: string;
  readonly requests: number;
}

/** `veilsum score serve`. */
export async function startScores(flags: ServeFlags): Promise<void> {
  const { tokens, listen, tlsCert, tlsKey, requests } = flags;
  if (tokens === undefined)
    throw usageError("--tokens is needed: 'veilsum score token new' makes the file with its first token");
  const address = addressField.safeParse(listen);
  if (!address.success) throw usageError('--listen (VEILSUM_LISTEN): must be host:port, the port at most 65535');
  if ((tlsCert === undefined) !== (tlsKey === undefined)) throw usageError('--tls-cert and --tls-key go together');
  if (!(Number.isInteger(requests) && requests >= 1)) throw usageError('--requests: must be a whole number from 1 on');
  // What can be wrong without a look at the table is said before it is read.
  const certificate = tlsCert === undefined || tlsKey === undefined ? null : readCertificate(tlsCert, tlsKey);
  const at = { ...splitAddress(address.data), certificate, behindProxy: flags.behindProxy === true };
  requireSafeListen(at);
  readSellers(tokens);
  await runUntilSignal(
    async () => {
      const { scores, calibration, table, words, modelHash, schema } = await scoreOf(flags, print);
      return serveScores({
        ...{ scores, calibration, table, dimensions: flags.group ?? [], least: flags.least },
        about: {
          ...{ outcome: words.outcome, modelHash, schema: schema.name },
          scoredAt: new Date().toISOString(),
        },
        tokensFile: tokens,
        accessLogFile: flags.accessLog ?? null,
        requestsPerMinute: requests,
        ...at,
      });
    },
    ({ address: url, organisations }) => `scores of ${grouped(organisations)} organisations at ${url}`,
  );
}
