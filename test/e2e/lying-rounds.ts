import type { Round } from '../../protocols/transcript.ts';
import { FederationLab, type LabRequest } from './federation-lab.ts';
import { plainSum } from './lab-parties.ts';

/** Rounds of a whole federation in which somebody lies, as replaced modules of the test tell from `lies`. */
export class LyingRounds<L extends object> implements AsyncDisposable {
  readonly nodes: readonly string[] = ['eu', 'us', 'apac'];
  readonly #lies: L;
  readonly #honest: L;
  #lab: FederationLab | null = null;
  #number = 0;

  /** @param lies - shared with the test's replaced modules; as it is now, everybody is honest. */
  constructor(lies: L) {
    this.#lies = lies;
    this.#honest = { ...lies };
  }

  async start(request: Partial<LabRequest> = {}): Promise<void> {
    this.#lab = await FederationLab.start({ nodes: this.nodes, coordinator: { readyMs: 2500 }, ...request });
  }

  get lab(): FederationLab {
    return this.#lab!;
  }

  /** Opens a round in which somebody lies, and waits for its end. */
  async round(told: Partial<L>, window = 0): Promise<{ id: string; end: string; round: Round }> {
    Object.assign(this.#lies, this.#honest, told);
    const id = await this.lab.open(window);
    this.#number++;
    const end = await this.lab.end(id);
    Object.assign(this.#lies, this.#honest);
    return { id, end, round: this.lab.round(id) };
  }

  /** What the newest round opens where these nodes are in it. */
  sumOf(names = this.nodes): Int32Array {
    return plainSum(names, this.#number, 300);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lab?.[Symbol.asyncDispose]();
  }
}
