import { concat, u64be } from '../../crypto/encoding.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { isRejection, type Rejection } from '../../protocols/errors.ts';
import { newWitness, type WitnessState } from '../../protocols/witness.ts';
import { StoreError } from '../store/errors.ts';
import type { RecordStore, StoreReader } from '../store/port.ts';

const TABLE = 'witness';

/** The last head that a witness cosigned of one log. */
export interface HeldHead {
  readonly state: WitnessState;
  /** When, in POSIX seconds; 0 before the first. Where no note is kept, it is not kept either. */
  readonly timestamp: number;
  /** The note with the log's own signatures; empty where none is kept. */
  readonly note: Uint8Array;
}

/** What a request came to. `held` is the head after it. */
export interface Advance {
  readonly held: HeldHead;
  readonly refusal: Rejection | null;
}

// A row: u64be size || root (32 bytes) [|| u64be POSIX seconds || note].
const STATE_BYTES = 40;
const HEADER_BYTES = 48;

function encode({ state, timestamp, note }: HeldHead): Uint8Array {
  const row = concat(u64be(state.size), state.root);
  return note.length === 0 ? row : concat(row, u64be(timestamp), note);
}

function decode(row: Uint8Array): HeldHead {
  if (row.length < STATE_BYTES) throw new StoreError('CORRUPT', 'a witnessed head is cut short');
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength);
  const state = { size: Number(view.getBigUint64(0)), root: row.slice(8, STATE_BYTES) };
  const hasNote = row.length > HEADER_BYTES;
  const timestamp = hasNote ? Number(view.getBigUint64(STATE_BYTES)) : 0;
  return { state, timestamp, note: row.slice(hasNote ? HEADER_BYTES : row.length) };
}

/**
 * The heads that a witness has cosigned, by origin. Checking a new one and storing it is one transaction, and a
 * cosignature is made after that: two heads of one size are never both cosigned, also not across a crash, by requests
 * that race, or by several processes.
 */
export class WitnessHeads {
  readonly #p: Primitives;
  readonly #records: RecordStore;

  constructor(p: Primitives, records: RecordStore) {
    this.#p = p;
    this.#records = records;
  }

  held(origin: string): Promise<HeldHead> {
    return this.#read(this.#records, origin);
  }

  /**
   * @param check - whether the head may follow on what is held.
   * @param kept - what is stored with the new head; null stores the head alone.
   */
  advance(
    origin: string,
    check: (state: WitnessState) => WitnessState | Rejection,
    kept: ((before: HeldHead) => Pick<HeldHead, 'timestamp' | 'note'>) | null,
  ): Promise<Advance> {
    return this.#records.transact(async (tx) => {
      const before = await this.#read(tx, origin);
      const state = check(before.state);
      if (isRejection(state)) return { held: before, refusal: state };
      const held = { state, ...(kept?.(before) ?? { timestamp: 0, note: new Uint8Array(0) }) };
      await tx.put(TABLE, origin, encode(held));
      return { held, refusal: null };
    });
  }

  async #read(reader: StoreReader, origin: string): Promise<HeldHead> {
    const row = await reader.get(TABLE, origin);
    return row === undefined ? { state: newWitness(this.#p), timestamp: 0, note: new Uint8Array(0) } : decode(row);
  }
}
