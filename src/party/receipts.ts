import { noteFailure } from '../grpc/replicas.ts';

/** How long the log may go without showing what an aggregator gave a receipt for, in ms. Its heads come every second or so. */
const SHOWN_MS = 8_000;

/** Told which aggregator says that a duty's leaf is logged, and where. */
export type OnReceipt<R> = (aggregator: R, leafIndex: number) => void;

interface Receipt<R> {
  readonly aggregator: R;
  readonly leafIndex: number;
  /** In ms of this process's clock. */
  readonly at: number;
}

/** A receipt that the log does not bear out. */
export interface FalseReceipt<R> {
  /** Who gave it. */
  readonly aggregator: R;
  readonly leafIndex: number;
}

/**
 * What aggregators said they logged for a node. Their word counts for as long as the log may still come to show it: one that
 * acknowledges and drops would else leave a node out of a round, and the node would hear of nothing.
 */
export class Receipts<R extends object> {
  readonly #given = new Map<string, Receipt<R>>();
  readonly #now: () => number;

  /** @param now - ms, monotonic. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** @param duty - what was acknowledged. */
  keep(duty: string, aggregator: R, leafIndex: number): void {
    this.#given.set(duty, { aggregator, leafIndex, at: this.#now() });
  }

  /**
   * Judges the receipt of a duty that the log still asks for.
   *
   * @param logSize - leaves that the log shows.
   * @returns the receipt, if it is false: forgotten, and its aggregator is asked last from now on. Null while it may hold.
   */
  takeFalse(duty: string, logSize: number): FalseReceipt<R> | null {
    const receipt = this.#given.get(duty);
    if (receipt === undefined) return null;
    const { aggregator, leafIndex, at } = receipt;
    if (logSize <= leafIndex && this.#now() - at < SHOWN_MS) return null;
    this.#given.delete(duty);
    noteFailure(aggregator);
    return { aggregator, leafIndex };
  }
}
