import { formatSignatures } from '../../crypto/note.ts';
import { isRejection } from '../../protocols/errors.ts';
import { checkHead, cosignHead, newWitness, type WitnessState } from '../../protocols/witness.ts';
import type { Request, Response } from './messages.ts';
import { CallFailed } from './network.ts';
import { Latch, Process, type Services, type Task } from './process.ts';
import type { Setting } from './reader-process.ts';

const STATE = 'witness/state';

/**
 * What a witness does with a head, one request at a time: the state is durable before the cosignature is made. Mirrors
 * src/party/witnessing.ts, whose transaction does both.
 */
export class Witnessing {
  readonly #process: Process;
  readonly #setting: Setting;
  #busy: Latch | null = null;

  constructor(process: Process, setting: Setting) {
    this.#process = process;
    this.#setting = setting;
  }

  /** After a crash: nobody is inside. */
  reset(): void {
    this.#busy = null;
  }

  *addCheckpoint(request: Request<'addCheckpoint'>): Task<Response<'addCheckpoint'>> {
    const { founding } = this.#setting;
    const p = founding.kit.primitives;
    while (this.#busy !== null) yield* this.#process.waitFor(this.#busy);
    const busy = new Latch();
    this.#busy = busy;
    try {
      const state = this.#process.disk.get<WitnessState>(STATE) ?? newWitness(p);
      const next = checkHead(p, founding.policy, state, request);
      if (isRejection(next)) {
        if (next.rejected === 'STALE_ATTEMPT') return { knownSize: state.size, line: null };
        throw new CallFailed(next.rejected, next.why);
      }
      yield* this.#process.write([[STATE, next]]);
      const seconds = 1_700_000_000 + Math.floor(this.#process.world.clock / 1000);
      const line = cosignHead(p, founding.witnessSigner(this.#process.name), request.note, seconds);
      return { knownSize: next.size, line: formatSignatures([line]) };
    } finally {
      this.#busy = null;
      busy.open();
    }
  }
}

/** An outside witness: it cosigns and does nothing else. */
export class WitnessProcess extends Process {
  readonly #witnessing: Witnessing;
  readonly services: Services = { addCheckpoint: (request) => this.#witnessing.addCheckpoint(request) };

  constructor(setting: Setting, name: string) {
    super(setting, name);
    this.#witnessing = new Witnessing(this, setting);
  }

  protected begin(): void {
    this.#witnessing.reset();
  }
}
