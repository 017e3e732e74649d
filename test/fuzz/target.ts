import { decodeParts, encodeParts } from '../../src/party/parts.ts';
import { MAX_INPUT_BYTES, mutateBytes, mutateLines } from './mutate-bytes.ts';
import { mutateJson } from './mutate-json.ts';
import { mutateProtobuf } from './mutate-protobuf.ts';
import { type Chance, pick } from './random.ts';

/** What the mutations know of an input. `parts` is `encodeParts` of inputs of one other form each. */
export type Form = 'bytes' | 'text' | 'json' | 'protobuf' | 'choices';

/** A law that a decoder's docstring states does not hold for this input. */
export class BrokenLaw extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BrokenLaw';
  }
}

export function law(holds: boolean, sentence: string): void {
  if (!holds) throw new BrokenLaw(sentence);
}

/** One decoder under attack. */
export interface Target {
  readonly name: string;
  /** What is read, in a few words: for the table in the README. */
  readonly reads: string;
  readonly form: Form | readonly Form[];
  /** Valid inputs, made by the project's own encoders; each must be accepted. The same at every call. */
  readonly seeds: () => readonly Uint8Array[] | Promise<readonly Uint8Array[]>;
  /** Words of the format. */
  readonly words?: readonly string[];
  /** How many times fewer inputs `npm test` gives it, because one costs milliseconds. Default 1. */
  readonly slowdown?: number;
  /** Errors that may escape: by name of class, with the codes that its docstring lists. */
  readonly refusals: Readonly<Record<string, readonly string[]>>;
  /**
   * Decodes the input, checks the decoder's laws, and returns whether it was accepted. Lets every error escape.
   */
  readonly run: (input: Uint8Array) => boolean | Promise<boolean>;
}

const encoder = new TextEncoder();

/** A new input from an old one. @param other - another input of the same target: for splices. */
export function mutate(target: Target, chance: Chance, input: Uint8Array, other: Uint8Array): Uint8Array {
  const words = (target.words ?? []).map((word) => encoder.encode(word));
  if (!Array.isArray(target.form)) return mutateAs(target.form as Form, chance, input, other, words);
  const parts = partsOf(input);
  const others = partsOf(other);
  if (parts === null || others === null || chance.below(12) === 0) return mutateBytes(chance, input, other, words);
  const i = chance.below(parts.length);
  switch (chance.below(10)) {
    case 0:
      parts[i] = pick(chance, others) ?? new Uint8Array(0);
      break;
    case 1:
      if (chance.below(2) === 0) parts.splice(i, 1);
      else parts.splice(i, 0, pick(chance, parts) ?? new Uint8Array(0));
      break;
    default: {
      const form = target.form[Math.min(i, target.form.length - 1)]!;
      parts[i] = mutateAs(form, chance, parts[i] ?? new Uint8Array(0), others[i] ?? new Uint8Array(0), words);
    }
  }
  return encodeParts(parts).slice(0, MAX_INPUT_BYTES);
}

function mutateAs(
  form: Form,
  chance: Chance,
  input: Uint8Array,
  other: Uint8Array,
  words: readonly Uint8Array[],
): Uint8Array {
  if (form === 'json' && chance.below(6) !== 0) {
    const changed = mutateJson(chance, input);
    if (changed !== null) return changed;
  }
  if (form === 'text' && chance.below(2) === 0) return mutateLines(chance, input, other);
  if (form === 'protobuf') return mutateProtobuf(chance, input, other);
  return mutateBytes(chance, input, other, words);
}

/** Parts of a composed input; null when a mutation broke the composition itself. */
export function partsOf(input: Uint8Array): Uint8Array[] | null {
  try {
    return decodeParts(input);
  } catch {
    return null;
  }
}

/** Whether an error is one that the target may end with. */
export function isRefusal(target: Target, error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const codes = target.refusals[error.name];
  return codes?.includes((error as { code?: string }).code ?? '') ?? false;
}
