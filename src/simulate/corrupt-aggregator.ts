import { ringShape } from '../../crypto/params.ts';
import type { Round } from '../../protocols/transcript.ts';
import { AggregatorProcess } from './aggregator-process.ts';
import type { Disk } from './disk.ts';
import { DIMENSION } from './founding.ts';
import type { Request, Response } from './messages.ts';
import type { Task } from './process.ts';
import type { Setting } from './reader-process.ts';

export const AGGREGATOR_TRICKS = [
  'drops a payload from the sum',
  'adds a payload twice',
  "adds one payload in another's place",
  'adds values of its own',
  'adds a correction twice',
  'hands out other boxes',
  'mixes up answers',
  'acknowledges and drops',
] as const;
export type AggregatorTrick = (typeof AGGREGATOR_TRICKS)[number];

/** A replica that does what its trick says, most of the time. */
export class CorruptAggregator extends AggregatorProcess {
  readonly #trick: AggregatorTrick;

  constructor(setting: Setting, name: string, disk: Disk, trick: AggregatorTrick) {
    super(setting, name, disk, false);
    this.#trick = trick;
  }

  #does(trick: AggregatorTrick): boolean {
    return this.#trick === trick && this.world.draw.chance(0.7);
  }

  protected override tamperPayloads(payloads: readonly Uint8Array[], round: Round): readonly Uint8Array[] {
    const [first, second, ...rest] = payloads;
    if (this.#does('drops a payload from the sum')) return payloads.slice(1);
    if (this.#does('adds values of its own')) return [...payloads, this.#ownPayload(round)];
    if (this.#does('adds a payload twice')) return [...payloads, first!];
    if (this.#does("adds one payload in another's place")) return [first!, first!, ...rest];
    return second === undefined ? payloads : [second, first!, ...rest]; // another order: the same sum
  }

  /** A payload under the key zero: whoever adds it shifts the sum and leaves its key as it is. */
  #ownPayload(round: Round): Uint8Array {
    const { parameters } = round.record;
    const engine = this.founding.engine(ringShape(parameters));
    using sealer = engine.sealer(new Int16Array(parameters.ringDegree));
    const values = Int32Array.from({ length: DIMENSION }, () => this.world.draw.between(-3, 3));
    const noise = {
      first: (length: number) => new Uint8Array(length),
      rest: (length: number) => new Uint8Array(length),
    };
    return sealer.seal(values, parameters.lastBlockCoefficients, (_, length) => new Uint8Array(length), noise);
  }

  protected override tamperCorrections(corrections: readonly Uint8Array[]): readonly Uint8Array[] {
    return this.#does('adds a correction twice') ? [...corrections, corrections[0]!] : corrections;
  }

  override *append(leaf: Uint8Array): Task<number> {
    if (!this.#does('acknowledges and drops')) return yield* super.append(leaf);
    return this.world.draw.chance(0.5) ? 0 : this.t.size + 1000;
  }

  protected override *fetchBox(request: Request<'fetchBox'>, peer: string): Task<Uint8Array> {
    const box = yield* super.fetchBox(request, peer);
    if (!this.#does('hands out other boxes')) return box;
    return this.world.draw.chance(0.5) ? this.founding.rng(box.length) : box.slice(1);
  }

  protected override *fetchAnswers(request: Request<'fetchAnswers'>, peer: string): Task<Response<'fetchAnswers'>> {
    const answers = yield* super.fetchAnswers(request, peer);
    if (!this.#does('mixes up answers')) return answers;
    return answers.map(({ member }, i) => ({ member, sealed: answers[(i + 1) % answers.length]!.sealed }));
  }
}
