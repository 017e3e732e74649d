import type { RejectionCode } from '../../protocols/errors.ts';
import type { Draw } from './random.ts';
import type { World } from './world.ts';

/** Why a call has no answer: what `TransportError` and the status tables say in production. */
export class CallFailed extends Error {
  readonly code: RejectionCode | 'DEADLINE' | 'UNAVAILABLE' | 'NOT_FOUND' | 'FAULT';
  /** Whether the other side said so; false where this side noticed. */
  readonly isRemote: boolean;

  constructor(code: CallFailed['code'], message = '', isRemote = false) {
    super(message === '' ? code : `${code}: ${message}`);
    this.name = 'CallFailed';
    this.code = code;
    this.isRemote = isRemote;
  }
}

/** How bad the network and the machines are, until they are not any more. Probabilities are per message and per step. */
export interface Faults {
  readonly dropRequest: number;
  readonly dropResponse: number;
  readonly duplicate: number;
  /** Probability of a delay of up to `delayMs`, which also reorders. */
  readonly slow: number;
  readonly delayMs: number;
  /** Per step, of somebody's crash. */
  readonly crash: number;
  /** Of a crashed party coming back from an old backup, where the claim's bounds allow it. */
  readonly restore: number;
  /** Per step, of two groups that cannot reach each other for a while. */
  readonly partition: number;
  /** From here on everything works: what must end, must end now. */
  readonly untilMs: number;
}

export const NO_FAULTS: Faults = {
  dropRequest: 0,
  dropResponse: 0,
  duplicate: 0,
  slow: 0,
  delayMs: 0,
  crash: 0,
  restore: 0,
  partition: 0,
  untilMs: 0,
};

/** Carries messages, or loses, repeats, delays and reorders them. */
export class Network {
  readonly #world: World;
  readonly #draw: Draw;
  readonly faults: Faults;
  #cut: { readonly side: ReadonlySet<string>; readonly untilMs: number } | null = null;

  constructor(world: World, draw: Draw, faults: Faults) {
    this.#world = world;
    this.#draw = draw;
    this.faults = faults;
  }

  get isFaulty(): boolean {
    return this.#world.clock < this.faults.untilMs;
  }

  cut(side: ReadonlySet<string>, forMs: number): void {
    this.#cut = { side, untilMs: Math.min(this.#world.clock + forMs, this.faults.untilMs) };
  }

  #isCut(from: string, to: string): boolean {
    const cut = this.#cut;
    return cut !== null && this.#world.clock < cut.untilMs && cut.side.has(from) !== cut.side.has(to);
  }

  send(from: string, to: string, isRequest: boolean, deliver: () => void): void {
    const { faults } = this;
    const usual = 1 + this.#draw.below(8);
    if (!this.isFaulty) {
      this.#world.schedule(usual, 'message', deliver);
      return;
    }
    if (this.#isCut(from, to)) return;
    if (this.#draw.chance(isRequest ? faults.dropRequest : faults.dropResponse)) return;
    const copies = this.#draw.chance(faults.duplicate) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const delay = this.#draw.chance(faults.slow) ? this.#draw.below(faults.delayMs) : usual;
      this.#world.schedule(delay, 'message', deliver);
    }
  }
}
