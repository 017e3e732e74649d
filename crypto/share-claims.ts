import { heldBy, type MemberSet } from './sharing.ts';

/** What each member logged before it answered: member -> index of a set it holds -> hash of its K_T, in hexadecimal. */
export type ShareClaims = ReadonlyMap<number, ReadonlyMap<number, string>>;

/** A set whose holders do not agree: at least one of them lies. */
export interface Dispute {
  readonly set: number;
  /** Hash -> the members that claim it. */
  readonly claims: ReadonlyMap<string, readonly number[]>;
}

/** One way to believe the members: the hash that K_T must have, for every set. */
export interface Candidate {
  /** The t members believed. */
  readonly members: readonly number[];
  /** By index of the set. */
  readonly hashes: readonly string[];
}

/** All sets for which members logged different hashes. Empty when nobody can be caught lying by comparison. */
export function disputes(sets: readonly MemberSet[], claims: ShareClaims): readonly Dispute[] {
  return sets.flatMap((members, set) => {
    const byHash = new Map<string, number[]>();
    for (const member of members) {
      const hash = claims.get(member)?.get(set);
      if (hash !== undefined) byHash.set(hash, [...(byHash.get(hash) ?? []), member]);
    }
    return byHash.size > 1 ? [{ set, claims: byHash }] : [];
  });
}

function* choose(from: readonly number[], count: number): Generator<readonly number[]> {
  if (count === 0) yield [];
  else
    for (const [i, first] of from.entries())
      for (const rest of choose(from.slice(i + 1), count - 1)) yield [first, ...rest];
}

/** The hash of every set according to `believed`, or null if they leave one out or contradict each other. */
function agreed(
  sets: readonly MemberSet[],
  claims: ShareClaims,
  believed: readonly number[],
): readonly string[] | null {
  const hashes: string[] = [];
  for (const [index, set] of sets.entries()) {
    const said = new Set(believed.filter((m) => set.includes(m)).map((m) => claims.get(m)?.get(index)));
    const [hash] = said;
    if (said.size !== 1 || hash === undefined) return null;
    hashes.push(hash);
  }
  return hashes;
}

/**
 * Every distinct way to believe t of the members that claimed. t honest ones agree with each other, so the right hashes
 * are among the candidates as soon as t honest members have logged theirs; the caller tries each on one block, and the
 * one that opens is right. At most C(n, t) tries; lazily, since without a liar there is one candidate.
 */
export function* candidates(
  sets: readonly MemberSet[],
  threshold: number,
  claims: ShareClaims,
): Generator<Candidate, void> {
  const seen = new Set<string>();
  for (const members of choose(
    [...claims.keys()].sort((a, b) => a - b),
    threshold,
  )) {
    const hashes = agreed(sets, claims, members);
    if (hashes === null || seen.has(hashes.join())) continue;
    seen.add(hashes.join());
    yield { members, hashes };
  }
}

/** The members that logged another hash than the right one for a set that they hold, ascending. */
export function liars(sets: readonly MemberSet[], claims: ShareClaims, right: Candidate): readonly number[] {
  return [...claims]
    .filter(([member, own]) => heldBy(sets, member).some((set) => own.has(set) && own.get(set) !== right.hashes[set]))
    .map(([member]) => member)
    .sort((a, b) => a - b);
}
