import { bytesEqual, fromUtf8, utf8 } from './encoding.ts';
import { CryptoError } from './errors.ts';
import { formatVkey, parseVkey, type Verifier } from './note.ts';
import type { Primitives } from './primitives.ts';

/** Bounds on a policy file: C2SP asks for at least 32 of each kind. */
const MAX_POLICY_BYTES = 1 << 18;
const MAX_DEFINITIONS = 1024;
/** The quorum that asks for no cosignature. Never a member of a group. */
const NONE = 'none';

/**
 * A name or URL of a policy file. The format treats them as opaque octets, so they are held one octet per character
 * (U+0000..U+00FF), never decoded: two names are equal exactly when their bytes are.
 */
export type Octets = string;

export interface PolicyLog {
  readonly verifier: Verifier;
  readonly url: Octets | null;
}

export interface PolicyWitness {
  /** The name within the file; the key's own name is `verifier.name`. */
  readonly name: Octets;
  readonly verifier: Verifier;
  readonly url: Octets | null;
}

/** Counts as having witnessed when at least `threshold` of its members have. */
export interface PolicyGroup {
  readonly name: Octets;
  readonly threshold: number;
  readonly members: readonly Octets[];
}

/** C2SP tlog-policy: which logs' checkpoints are accepted, and under which cosignatures. */
export interface Policy {
  readonly logs: readonly PolicyLog[];
  readonly witnesses: readonly PolicyWitness[];
  /** In order of definition: members of a group are witnesses or earlier groups. */
  readonly groups: readonly PolicyGroup[];
  /** A witness, a group, or `none`. */
  readonly quorum: Octets;
}

const bad = (message: string): CryptoError => new CryptoError('BAD_ENCODING', `policy: ${message}`);

const toOctets = (bytes: Uint8Array): Octets => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
const fromOctets = (octets: Octets): Uint8Array => Uint8Array.from(octets, (character) => character.charCodeAt(0));

/** A verifier key inside a policy file: its octets are UTF-8, since key names are. */
function parseKey(p: Primitives, octets: Octets, type: Verifier['type']): Verifier {
  const verifier = parseVkey(p, fromUtf8(fromOctets(octets)));
  if (verifier.type !== type) throw bad('a key of another type than its line asks for');
  return verifier;
}

/** What has been read so far; becomes the policy. */
class Draft {
  readonly logs: PolicyLog[] = [];
  readonly witnesses: PolicyWitness[] = [];
  readonly groups: PolicyGroup[] = [];
  readonly #defined = new Set<Octets>();
  readonly #grouped = new Set<Octets>();
  quorum: Octets | undefined;

  addLog(log: PolicyLog): void {
    this.#requireNewKey(this.logs, log.verifier);
    this.logs.push(log);
  }

  addWitness(witness: PolicyWitness): void {
    this.#requireNewKey(this.witnesses, witness.verifier);
    this.#define(witness.name);
    this.witnesses.push(witness);
  }

  addGroup(group: PolicyGroup): void {
    const { members, threshold } = group;
    if (members.length === 0 || threshold < 1 || threshold > members.length) throw bad('threshold out of range');
    for (const member of members) {
      if (!this.#defined.has(member)) throw bad('a group of names that are not defined before it');
      // One way to count for each witness: otherwise it could carry two groups of one quorum.
      if (this.#grouped.has(member)) throw bad('a name in two groups, or twice in one');
      this.#grouped.add(member);
    }
    this.#define(group.name);
    this.groups.push(group);
  }

  setQuorum(name: Octets): void {
    if (this.quorum !== undefined) throw bad('more than one quorum');
    if (name !== NONE && !this.#defined.has(name)) throw bad('a quorum that is not defined before it');
    this.quorum = name;
  }

  finish(): Policy {
    const { logs, witnesses, groups, quorum } = this;
    if (quorum === undefined) throw bad('no quorum');
    return { logs, witnesses, groups, quorum };
  }

  #requireNewKey(earlier: readonly { readonly verifier: Verifier }[], verifier: Verifier): void {
    // The same key under another name is the same party: it must not count twice.
    if (earlier.some((other) => bytesEqual(other.verifier.publicKey, verifier.publicKey))) throw bad('duplicate key');
    if (earlier.length >= MAX_DEFINITIONS) throw bad('too many definitions');
  }

  #define(name: Octets): void {
    if (name === NONE || this.#defined.has(name)) throw bad('a name that is reserved or taken');
    if (this.#defined.size >= MAX_DEFINITIONS) throw bad('too many definitions');
    this.#defined.add(name);
  }
}

function parseThreshold(word: string, members: number): number {
  if (word === 'any') return 1;
  if (word === 'all') return members;
  if (!/^[1-9][0-9]{0,3}$/.test(word)) throw bad('a threshold that is no decimal');
  return Number(word);
}

/**
 * Reads a policy file (C2SP tlog-policy). White space, comments and empty lines are free, as the format says; everything
 * else is exact.
 *
 * @throws CryptoError BAD_ENCODING: control characters, an unfinished last line, an unknown line, a duplicate key or name,
 *   a name used before its definition, a threshold out of range, not exactly one quorum.
 */
export function parsePolicy(p: Primitives, file: Uint8Array): Policy {
  if (file.length > MAX_POLICY_BYTES) throw bad('too long');
  const octets = toOctets(file);
  if (/[^\t\n\x20-\x7e\x80-\xff]/.test(octets)) throw bad('control characters');
  if (octets !== '' && !octets.endsWith('\n')) throw bad('last line without an end');
  const draft = new Draft();
  for (const line of octets.split('\n')) {
    const words = line.split(/[ \t]+/).filter((word) => word !== '');
    const [kind, ...rest] = words;
    if (kind === undefined || kind.startsWith('#')) continue;
    if (kind === 'log' && (rest.length === 1 || rest.length === 2)) {
      draft.addLog({ verifier: parseKey(p, rest[0]!, 'ed25519'), url: rest[1] ?? null });
    } else if (kind === 'witness' && (rest.length === 2 || rest.length === 3)) {
      const verifier = parseKey(p, rest[1]!, 'cosignature');
      draft.addWitness({ name: rest[0]!, verifier, url: rest[2] ?? null });
    } else if (kind === 'group' && rest.length >= 3) {
      const [name, threshold, ...members] = rest;
      draft.addGroup({ name: name!, threshold: parseThreshold(threshold!, members.length), members });
    } else if (kind === 'quorum' && rest.length === 1) {
      draft.setQuorum(rest[0]!);
    } else {
      throw bad('a line of no known form');
    }
  }
  return draft.finish();
}

/** Writes a policy file; `parsePolicy` of it gives the same policy. Thresholds are written as numbers. */
export function formatPolicy(policy: Policy): Uint8Array {
  const key = (verifier: Verifier): Octets => toOctets(utf8(formatVkey(verifier)));
  const lines = [
    ...policy.logs.map(({ verifier, url }) => ['log', key(verifier), url]),
    ...policy.witnesses.map(({ name, verifier, url }) => ['witness', name, key(verifier), url]),
    ...policy.groups.map(({ name, threshold, members }) => ['group', name, String(threshold), ...members]),
    ['quorum', policy.quorum],
  ];
  return fromOctets(lines.map((words) => `${words.filter((word) => word !== null).join(' ')}\n`).join(''));
}

/** Whether these witnesses (names within the file) are enough. Unknown names count for nothing, repeated ones once. */
export function satisfies(policy: Policy, cosigners: Iterable<Octets>): boolean {
  if (policy.quorum === NONE) return true;
  const known = new Set(policy.witnesses.map(({ name }) => name));
  const witnessed = new Set([...cosigners].filter((name) => known.has(name)));
  for (const { name, threshold, members } of policy.groups) {
    if (members.filter((member) => witnessed.has(member)).length >= threshold) witnessed.add(name);
  }
  return witnessed.has(policy.quorum);
}

/**
 * The policy of DESIGN's quorum: any `threshold` of these witnesses, in one group named `quorum`.
 *
 * @throws CryptoError BAD_ENCODING where `parsePolicy` would refuse the file.
 */
export function flatPolicy(
  p: Primitives,
  logs: readonly PolicyLog[],
  witnesses: readonly PolicyWitness[],
  threshold: number,
): Policy {
  const members = witnesses.map(({ name }) => name);
  const groups = [{ name: 'quorum', threshold, members }];
  return parsePolicy(p, formatPolicy({ logs, witnesses, groups, quorum: 'quorum' }));
}
