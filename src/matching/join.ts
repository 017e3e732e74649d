import { DOMAIN, labelBytes } from '../../crypto/domain.ts';
import { compareBytes, concat, fromHex, toHex, u64be, utf8 } from '../../crypto/encoding.ts';
import {
  addEvaluations,
  type Blinded,
  blindInput,
  blindingOf,
  type Evaluation,
  finalizeInput,
  isRightEvaluation,
} from '../../crypto/oprf.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { type SecretBytes, wipe } from '../../crypto/secret.ts';
import { hashWithLabel } from '../../crypto/signature.ts';
import { CANONICAL_VERSION } from './canonical.ts';
import { MatchingError } from './errors.ts';
import { BATCH_MAX } from './holder.ts';
import { type KeySet, keySetId } from './key-set.ts';
import type { NameKind } from './name-kinds.ts';

/** Asks one holder. It sees blinded elements and nothing else. */
export interface HolderLink {
  readonly name: string;
  evaluate(publicKey: Uint8Array, blinded: readonly Uint8Array[]): Promise<Evaluation>;
}

/** What two sites must have alike for their keys to meet. */
export interface Join {
  readonly keySet: KeySet;
  readonly kind: NameKind;
  /** What the keys are for. Keys of different purposes are unrelated to whoever did not compute them. */
  readonly purpose: string;
}

/** 32 bytes that every key of a join depends on: another key set, kind, purpose or version of the rules is another join. */
function joinHash(p: Primitives, { keySet, kind, purpose }: Join): Uint8Array {
  const parts = [keySetId(p, keySet), u64be(CANONICAL_VERSION), utf8(kind), utf8(purpose)];
  return hashWithLabel(p, DOMAIN.matchingJoin, ...parts);
}

/** Begins every key of a join, 8 hex digits, so that keys of two joins are told apart at sight. Nothing rests on it. */
export function joinId(p: Primitives, join: Join): string {
  return toHex(joinHash(p, join).subarray(0, 4));
}

/** A join key as text: the join, a hyphen, 128 bits of the name's. */
export const JOIN_KEY = /^([0-9a-f]{8})-[0-9a-f]{32}$/;

function inputOf(kind: NameKind, canonical: string): Uint8Array {
  const context = utf8(`${kind}/${CANONICAL_VERSION}`);
  return concat(labelBytes(DOMAIN.matchingInput), new Uint8Array(1), context, new Uint8Array(1), utf8(canonical));
}

interface Asked extends Blinded {
  readonly canonical: string;
  readonly input: Uint8Array;
}

/**
 * Join keys of canonical names: HMAC-SHA-256 under the PRF's output, so that what a site keeps is of this purpose alone.
 *
 * Every holder of the key set is asked for every name, in batches whose order tells nothing; each answer is verified
 * before it is used. Repeating a join asks for the same elements: holders charge nothing for it.
 *
 * @param blindSeed - 32 secret bytes of this site. Not wiped here.
 * @param onNames - told how many names are done.
 * @returns key by canonical name.
 * @throws MatchingError WRONG_EVALUATION, naming the holder; what a link throws.
 */
export async function joinKeys(
  p: Primitives,
  join: Join,
  links: readonly HolderLink[],
  blindSeed: SecretBytes,
  canonicals: Iterable<string>,
  onNames: (done: number) => void = () => {},
): Promise<Map<string, string>> {
  const id = joinId(p, join);
  const info = concat(labelBytes(DOMAIN.matchingToken), new Uint8Array(1), joinHash(p, join));
  const asked = [...new Set(canonicals)]
    .map((canonical): Asked => {
      const input = inputOf(join.kind, canonical);
      return { canonical, input, ...blindInput(input, blindingOf(p, blindSeed, input)) };
    })
    .sort((a, b) => compareBytes(a.element, b.element));
  const keys = new Map<string, string>();
  for (let at = 0; at < asked.length; at += BATCH_MAX) {
    const batch = asked.slice(at, at + BATCH_MAX);
    const sums = addEvaluations(
      await askAll(
        join.keySet,
        links,
        batch.map(({ element }) => element),
      ),
    );
    for (const [i, { canonical, input, blind }] of batch.entries()) {
      const output = finalizeInput(input, blind, sums[i]!);
      const token = p.hmacSha256(output, info);
      keys.set(canonical, `${id}-${toHex(token.subarray(0, 16))}`);
      wipe(output);
      wipe(blind);
    }
    onNames(keys.size);
  }
  return keys;
}

/** One batch, by all holders of the set at once. */
function askAll(keySet: KeySet, links: readonly HolderLink[], blinded: readonly Uint8Array[]) {
  return Promise.all(
    keySet.holders.map(async ({ name, publicKey }) => {
      const link = links.find((each) => each.name === name);
      if (link === undefined)
        throw new MatchingError('TOO_FEW_HOLDERS', `nobody asks ${name}, which holds a part of the key`);
      const key = fromHex(publicKey, 32);
      const answer = await link.evaluate(key, blinded);
      if (!isRightEvaluation(key, blinded, answer)) {
        throw new MatchingError(
          'WRONG_EVALUATION',
          `${name} answered with another key than the one it signed: its proof does not hold, no join key was made of it`,
        );
      }
      return answer.elements;
    }),
  );
}
