import type { CallFailed } from './network.ts';
import { asFailure, Process, type Services, type Task } from './process.ts';
import type { Setting } from './reader-process.ts';
import type { Scenario } from './scenario.ts';

/** No money, nothing left to sum, or a recipient that was revoked. */
const FINAL: ReadonlySet<string> = new Set(['BUDGET_EXCEEDED', 'WINDOW_DECIDED', 'REVOKED']);

/** Who asks for rounds: asks until it has an answer, the same request again while none came. Never crashes. */
export class OfficerProcess extends Process {
  readonly services: Services = {};
  readonly #setting: Setting;
  readonly #requests: Scenario['requests'];
  #answered = 0;

  constructor(setting: Setting, requests: Scenario['requests']) {
    super(setting, 'officer');
    this.#setting = setting;
    this.#requests = requests;
  }

  /** Whether every request was answered, one way or the other. */
  get isDone(): boolean {
    return this.#answered === this.#requests.length;
  }

  protected begin(): void {
    for (const [i, request] of this.#requests.entries()) this.spawn(this.#ask(i, request));
  }

  *#ask(number: number, { window, atMs }: Scenario['requests'][number]): Task {
    yield* this.sleep(atMs);
    for (let tries = 0; ; ) {
      try {
        const request = { task: window, requestId: `${number}.${tries}` };
        yield* this.call(this.#setting.coordinator, 'openRound', request);
        break;
      } catch (error) {
        const failure: CallFailed = asFailure(error);
        if (FINAL.has(failure.code)) break;
        // Another request took the number: this one's announcement can never stand.
        if (failure.code === 'DUPLICATE_ANNOUNCE') tries++;
        yield* this.sleep(500);
      }
    }
    this.#answered++;
  }
}
