import type { Policy } from '../../crypto/policy.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { Connection } from '../grpc/connection.ts';
import { LogReader } from '../party/log-reader.ts';
import { nodePrimitives as primitives } from '../platform/primitives-node.ts';
import type { TlsIdentity } from '../tls/context.ts';
import { loadTlsIdentity } from '../tls/files.ts';
import type { LocalFederation } from './local-federation.ts';

/** Milliseconds of the monotonic clock at which the watcher first saw each step of a round. */
export interface RoundTimes {
  opened: number;
  closed: number | null;
  confirmed: number | null;
  decided: number | null;
  released: number | null;
  /** By node: when its upload and its confirmation were seen under a cosigned head. */
  readonly uploads: Map<string, number>;
  readonly confirms: Map<string, number>;
}

/** Follows the log as an officer would, with eyes only for the clock. */
export class Watch {
  readonly log: LogReader;
  readonly officer: Connection;
  /** The officer's. */
  readonly tls: TlsIdentity;
  readonly times = new Map<string, RoundTimes>();

  private constructor(log: LogReader, officer: Connection, tls: TlsIdentity) {
    this.log = log;
    this.officer = officer;
    this.tls = tls;
    log.onHead(() => this.#note());
  }

  static async start(local: LocalFederation, officerFolder: string, policy: Policy): Promise<Watch> {
    const tls = await loadTlsIdentity(officerFolder);
    const { address, tlsKeySha256 } = local.federation.coordinator;
    const officer = new Connection({ address, tls, expected: { pins: [tlsKeySha256], role: 'coordinator' } });
    const genesisHash = local.federation.genesisHash;
    const log = new LogReader({ primitives, policy, genesisHash, coordinator: officer, records: null, say: () => {} });
    const watch = new Watch(log, officer, tls);
    log.start();
    return watch;
  }

  get transcript(): Transcript {
    return this.log.transcript;
  }

  #note(): void {
    const now = performance.now();
    for (const round of this.transcript.rounds.values()) {
      const times = this.times.get(round.id) ?? {
        opened: now,
        closed: null,
        confirmed: null,
        decided: null,
        released: null,
        uploads: new Map(),
        confirms: new Map(),
      };
      this.times.set(round.id, times);
      for (const node of round.uploads.keys()) if (!times.uploads.has(node)) times.uploads.set(node, now);
      const attempt = round.attempts.at(-1);
      if (attempt === undefined) continue;
      times.closed ??= now;
      for (const node of attempt.confirms.keys()) if (!times.confirms.has(node)) times.confirms.set(node, now);
      if (attempt.confirms.size === attempt.cohort.length) times.confirmed ??= now;
      if (round.phase === 'decided' || round.phase === 'released') times.decided ??= now;
      if (round.phase === 'released') times.released ??= now;
    }
  }
}

/** Milliseconds that each phase of a round took, as seen by a reader of the log. */
export function phaseMs(times: RoundTimes): Record<'upload' | 'confirm' | 'decide' | 'open', number> {
  const between = (from: number | null, to: number | null): number =>
    from === null || to === null ? 0 : Math.round(to - from);
  return {
    upload: between(times.opened, times.closed),
    confirm: between(times.closed, times.confirmed),
    decide: between(times.confirmed, times.decided),
    open: between(times.decided, times.released),
  };
}
