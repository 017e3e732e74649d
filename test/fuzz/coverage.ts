import { Session } from 'node:inspector';
import { pathToFileURL } from 'node:url';

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}
interface ScriptCoverage {
  readonly url: string;
  readonly functions: readonly { readonly ranges: readonly Range[] }[];
}

/** Which characters of each function ran: by `url start`, a byte per character from the function's first. */
export type Reading = ReadonlyMap<string, Uint8Array>;

/** A piece of code, by one character in it. */
export interface Block {
  readonly inside: string;
  readonly offset: number;
}

export function covers(reading: Reading, { inside, offset }: Block): boolean {
  return reading.get(inside)?.[offset] === 1;
}

/**
 * Block coverage of the project's own code, by V8 itself (Inspector, Profiler.startPreciseCoverage with detailed blocks):
 * no instrumentation, no native module. Taking it resets V8's counters, so each reading is of what ran since the last.
 */
export class Coverage implements Disposable {
  readonly #session = new Session();
  readonly #roots: readonly string[];

  /** @param folders - absolute; only scripts under them count. */
  constructor(folders: readonly string[]) {
    // A test runner names its scripts by path, Node by URL.
    this.#roots = folders.flatMap((folder) => [pathToFileURL(folder).href, folder]);
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  take(): Reading {
    const { result } = this.#post('Profiler.takePreciseCoverage') as { result: readonly ScriptCoverage[] };
    const reading = new Map<string, Uint8Array>();
    for (const { url, functions } of result) {
      if (!this.#roots.some((root) => url.startsWith(root))) continue;
      for (const { ranges } of functions) {
        const { startOffset: first, endOffset: end } = ranges[0]!;
        const ran = new Uint8Array(end - first);
        // Outer ranges first: a block that ran as often as what is around it has no range of its own.
        for (const { startOffset, endOffset, count } of ranges) {
          ran.fill(count > 0 ? 1 : 0, startOffset - first, endOffset - first);
        }
        reading.set(`${url} ${first}`, ran);
      }
    }
    return reading;
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
  }

  #post(method: string, parameters: object = {}): unknown {
    let answer: unknown;
    // The callback runs before post returns: this session is connected to its own thread.
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw error;
      answer = result;
    });
    return answer;
  }
}

/** What some inputs have reached together. */
export class Reached {
  readonly #seen = new Map<string, Uint8Array>();
  #blocks = 0;

  /** Blocks added so far. */
  get blocks(): number {
    return this.#blocks;
  }

  /** @returns the pieces of code that were not reached before. */
  add(reading: Reading): Block[] {
    const fresh: Block[] = [];
    for (const [inside, ran] of reading) {
      const seen = this.#seen.get(inside) ?? new Uint8Array(ran.length);
      this.#seen.set(inside, seen);
      let within = false;
      for (let offset = 0; offset < ran.length; offset++) {
        const isNew = ran[offset] === 1 && seen[offset] === 0;
        if (isNew && !within) fresh.push({ inside, offset });
        if (isNew) seen[offset] = 1;
        within = isNew;
      }
    }
    this.#blocks += fresh.length;
    return fresh;
  }
}
