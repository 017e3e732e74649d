import { chargedTo, type SitePolicy } from '../../protocols/site-policy.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import type { Say } from './events.ts';

/** What a refusal rests on: the same grounds refuse again, others are asked. */
export interface Grounds {
  readonly policy: SitePolicy;
  /** Comparable text of everything that can turn a refusal. */
  readonly text: string;
}

/**
 * What a node has refused, and why it may look again. A refusal sends nothing, so asking again is safe; what was agreed to is
 * kept before it is sent and never asked again.
 */
export class Refusals {
  readonly #refused = new Map<string, string>();
  readonly #readPolicy: () => SitePolicy;
  readonly #say: Say;
  #unreadable = '';

  /** @param readPolicy - the site's policy as it is now; throws where its file cannot be read. */
  constructor(readPolicy: () => SitePolicy, say: Say) {
    this.#readPolicy = readPolicy;
    this.#say = say;
  }

  /** @param charged - the node's own count. @returns null where the policy file cannot be read: nothing is agreed to then. */
  grounds(t: Transcript, node: string, charged: number): Grounds | null {
    try {
      const policy = this.#readPolicy();
      this.#unreadable = '';
      return { policy, text: JSON.stringify([policy, charged, chargedTo(t, node)]) };
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown';
      if (why !== this.#unreadable) this.#say('policy unreadable', { why, until: 'the file can be read' });
      this.#unreadable = why;
      return null;
    }
  }

  add(duty: string, { text }: Grounds): void {
    this.#refused.set(duty, text);
  }

  /** Whether it was refused on these very grounds. */
  has(duty: string, { text }: Grounds): boolean {
    return this.#refused.get(duty) === text;
  }
}

/** Says what would make a refused round acceptable. */
export const LOOKED_AT_AGAIN = 'looked at again when policy.yaml or what this site was charged changes';
export const FINAL = 'final for this round, unless the node is started again';
