import { DOMAIN } from '../crypto/domain.ts';
import { canonicalBytes, fromBase64, type Json, toHex } from '../crypto/encoding.ts';
import { isSealingKey } from '../crypto/hpke.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { hashWithLabel, verify } from '../crypto/signature.ts';
import { finishedGroup } from './buckets.ts';
import { type Rejection, reject } from './errors.ts';
import type { Body } from './leaves.ts';
import { newLedger } from './ledger.ts';
import type { Patch } from './patch.ts';
import { checkQuorumSize } from './quorum-size.ts';
import { isWithinEpsilon } from './stated-epsilon.ts';
import { findParty, isWithdrawn, newestModel, type Party, type Round, type Transcript } from './transcript.ts';
import { NO_LOG, type Signed } from './verified.ts';

/** The log's id: hash of the genesis body. `audit --genesis` pins it. */
export function logIdOf(p: Primitives, body: Body<'genesis'>): string {
  return toHex(hashWithLabel(p, DOMAIN.genesis, canonicalBytes(body as unknown as Json)));
}

function hasTwice(values: readonly string[]): boolean {
  return new Set(values).size !== values.length;
}

/** The first leaf. Refuses quorums and cosigning rules that the design cannot carry. */
export function genesisRule(p: Primitives, t: Transcript, { leaf }: Signed<'genesis'>): Patch | Rejection {
  const { body } = leaf;
  if (t.size !== 0 || leaf.log !== NO_LOG)
    return reject('GENESIS_NOT_FIRST', 'genesis is the first leaf and only that');
  if (leaf.actor !== 'root') return reject('GENESIS_INVALID', 'the root key signs genesis, and under no other name');
  const size = checkQuorumSize(body.members.length, body.threshold);
  if (size !== null) return reject('GENESIS_INVALID', size);
  const { witnesses, needed, faulty } = body.cosigning;
  if (witnesses !== body.members.length + body.witnesses.length) {
    return reject('GENESIS_INVALID', 'W must be the number of members and outside witnesses listed');
  }
  if (2 * needed <= witnesses + faulty || needed > witnesses || faulty < body.threshold - 1) {
    return reject('GENESIS_INVALID', 'cosigning needs 2w > W + f, w <= W and f >= t - 1');
  }
  if (body.minimums.cohort < body.minimums.honest)
    return reject('GENESIS_INVALID', 'minimum cohort below minimum honest');
  if (body.coordinator.role !== 'coordinator' || body.members.some((member) => member.role !== 'member')) {
    return reject('GENESIS_INVALID', 'the coordinator and the members must carry their roles');
  }
  const all = [body.coordinator, ...body.members];
  // People read epsilon, the ledger counts rho: the two must say the same.
  if (!isWithinEpsilon(body.budget)) {
    return reject('GENESIS_INVALID', 'the budget in rho is worth more epsilon at this delta than genesis says');
  }
  if (all.some((party) => party.kemKey !== null && !isSealingKey(fromBase64(party.kemKey)))) {
    return reject('BAD_KEY', 'a key that nothing can be sealed to');
  }
  const keys = [
    body.rootKey,
    body.logKey,
    ...all.flatMap(keysOf),
    ...body.members.map((member) => member.witnessKey),
    ...body.witnesses.map((witness) => witness.witnessKey),
  ];
  if (hasTwice(keys)) return reject('DUPLICATE_KEY', 'a key occurs twice in genesis');
  const names = ['root', ...all.map((party) => party.name), ...body.witnesses.map((witness) => witness.name)];
  if (hasTwice(names)) return reject('DUPLICATE_NAME', 'a name occurs twice in genesis');
  const parties = all.map((party): Party => ({ ...partyOf(party), index: 0, revoked: false }));
  return {
    genesis: { body, logId: logIdOf(p, body) },
    quorum: { number: 0, members: body.members.map((member) => member.name), threshold: body.threshold },
    parties,
    keys,
    ledger: newLedger(body.budget.rhoNano),
  };
}

/** Every key of a party: signing, sealing, and the hash of its TLS key. Spellings of the three never coincide. */
function keysOf({ key, kemKey, tlsKeySha256 }: Pick<Party, 'key' | 'kemKey' | 'tlsKeySha256'>): string[] {
  return kemKey === null ? [key, tlsKeySha256] : [key, tlsKeySha256, kemKey];
}

function partyOf(fields: Omit<Party, 'index' | 'revoked'>): Omit<Party, 'index' | 'revoked'> {
  const { name, role, organisation, region, key, kemKey, tlsKeySha256 } = fields;
  return { name, role, organisation, region, key, kemKey, tlsKeySha256 };
}

/** The bytes a party signs to show that it holds the key that is being enrolled for it. */
export function possessionBytes(log: string, body: Omit<Body<'enrol'>, 'possession'>): Uint8Array {
  return canonicalBytes({ log, ...partyOf(body) } as unknown as Json);
}

/**
 * Why a party could not be enrolled now; null when it could. Names and keys are never used twice in a log, not even after
 * a revocation.
 */
export function checkEnrolBody(p: Primitives, t: Transcript, body: Body<'enrol'>): Rejection | null {
  if (body.name === 'root' || findParty(t, body.name) !== null) return reject('DUPLICATE_NAME', 'the name is taken');
  if (t.genesis!.witnesses.some((witness) => witness.name === body.name) && body.role !== 'witness') {
    return reject('DUPLICATE_NAME', 'the name is that of a witness of genesis');
  }
  const keys = keysOf(body);
  if (hasTwice(keys) || keys.some((key) => t.keys.has(key))) {
    return reject('DUPLICATE_KEY', 'a key of the party was logged before');
  }
  if (body.role === 'coordinator') return reject('WRONG_ROLE', 'the coordinator is fixed in genesis');
  if ((body.role === 'node' || body.role === 'recipient') && body.kemKey === null) {
    return reject('BAD_KEY', 'nodes and recipients need a key that models are sealed to');
  }
  if (body.kemKey !== null && !isSealingKey(fromBase64(body.kemKey))) {
    return reject('BAD_KEY', 'a key that nothing can be sealed to');
  }
  const proof = possessionBytes(t.logId, body);
  if (!verify(p, fromBase64(body.key), DOMAIN.enrolment, proof, fromBase64(body.possession))) {
    return reject('NO_POSSESSION', 'the party did not sign for its own key');
  }
  return null;
}

/** Root enrols a party. */
export function enrolRule(p: Primitives, t: Transcript, { leaf }: Signed<'enrol'>): Patch | Rejection {
  const { body } = leaf;
  if (leaf.actor !== 'root') return reject('WRONG_ROLE', 'only the root key enrols');
  const problem = checkEnrolBody(p, t, body);
  if (problem !== null) return problem;
  return { parties: [{ ...partyOf(body), index: t.size, revoked: false }], keys: keysOf(body) };
}

export function revokeRule(t: Transcript, { leaf }: Signed<'revoke'>): Patch | Rejection {
  if (leaf.actor !== 'root') return reject('WRONG_ROLE', 'only the root key revokes');
  const party = findParty(t, leaf.body.name);
  if (party === null) return reject('UNKNOWN_ACTOR', 'no party of that name');
  if (party.revoked) return reject('REVOKED', 'already revoked');
  return { parties: [{ ...party, revoked: true, revokedIndex: t.size }] };
}

/**
 * A party names its next TLS key. Its identity key signs, so neither the authority nor the root key can do it in its place, and
 * who was revoked cannot either. A TLS key is no party's twice, so no leaf leads back to a key that was replaced.
 */
export function tlsKeyRule(t: Transcript, { leaf }: Signed<'tls-key'>): Patch | Rejection {
  const { tlsKeySha256, replaces } = leaf.body;
  const party = findParty(t, leaf.actor);
  if (party === null) return reject('WRONG_ROLE', 'the root key has no TLS key');
  if (party.tlsKeySha256 !== replaces)
    return reject('STALE_TLS_KEY', 'the party is known by another TLS key than the one to be replaced');
  if (t.keys.has(tlsKeySha256)) return reject('DUPLICATE_KEY', 'the new TLS key was logged before');
  return { parties: [{ ...party, tlsKeySha256 }], keys: [tlsKeySha256] };
}

/** Whether the recipients of a task can have rounds announced for them. @returns null, REVOKED or UNKNOWN_ACTOR. */
export function checkRecipients(t: Transcript, recipients: readonly string[]): Rejection | null {
  for (const name of recipients) {
    const party = findParty(t, name);
    if (party?.role !== 'recipient') return reject('UNKNOWN_ACTOR', 'a recipient is not enrolled');
    if (party.revoked) return reject('REVOKED', 'a recipient was revoked');
  }
  return null;
}

export function announceRule(t: Transcript, { leaf, hash }: Signed<'announce'>): Patch | Rejection {
  const { body } = leaf;
  if (findParty(t, leaf.actor)?.role !== 'coordinator') return reject('WRONG_ROLE', 'only the coordinator announces');
  for (const announce of t.announces.values()) {
    if (announce.task === body.task && announce.number === body.number) {
      return reject('DUPLICATE_ANNOUNCE', 'this round of the task was announced before');
    }
  }
  if (hasTwice(body.recipients)) return reject('DUPLICATE_NAME', 'a recipient is named twice');
  const unfit = checkRecipients(t, body.recipients);
  if (unfit !== null) return unfit;
  return { announce: { ...body, hash, index: t.size, roundKeys: new Map(), openedAs: null, isAborted: false } };
}

/** A member's or recipient's key for one round: one per announcement, in time, and never a key seen before. */
export function roundKeyRule(t: Transcript, { leaf, hash }: Signed<'round-key'>): Patch | Rejection {
  const { body } = leaf;
  const announce = t.announces.get(body.announce);
  if (announce === undefined) return reject('UNKNOWN_ANNOUNCE', 'no such announcement');
  if (!t.quorum.members.includes(leaf.actor) && !announce.recipients.includes(leaf.actor)) {
    return reject('WRONG_ROLE', 'only members of the quorum and the announced recipients have round keys');
  }
  if (announce.openedAs !== null) return reject('LATE_ROUND_KEY', 'the round is already open');
  if (isWithdrawn(t, announce)) return reject('ROUND_ENDED', 'the announced round will not be opened');
  if (announce.roundKeys.has(leaf.actor))
    return reject('DUPLICATE_ROUND_KEY', 'a second key for one round is evidence');
  if (t.keys.has(body.kemKey)) return reject('ROUND_KEY_REUSED', 'this key was logged before');
  // One such key in the record would stop every node of the round from sealing its shares.
  if (!isSealingKey(fromBase64(body.kemKey))) return reject('BAD_KEY', 'a key that nothing can be sealed to');
  const roundKeys = new Map(announce.roundKeys).set(leaf.actor, { hash, kemKey: body.kemKey });
  return { announce: { ...announce, roundKeys }, keys: [body.kemKey] };
}

/** A model of a round in buckets is made of all its sums, by one that released them all, and names the first one's decision. */
function checkGroup(t: Transcript, round: Round, recipient: string): Rejection | null {
  if (round.record.bucket === undefined) return null;
  const sums = finishedGroup(t, round.record);
  if (sums === null) return reject('BUCKETS_UNFINISHED', 'a bucket has not ended, or fewer than most were released');
  if (sums[0] !== round) return reject('BUCKET_MISMATCH', 'the model names the decision of the first released bucket');
  const hasAll = sums.every(({ releasedBy }) => releasedBy.includes(recipient));
  return hasAll ? null : reject('WRONG_ROLE', 'another recipient released one of the sums');
}

/** A model that goes back is an earlier one to the byte, and says which; the newest is no way back. */
function checkRestored(t: Transcript, body: Body<'model'>): Rejection | null {
  const earlier = t.models.find((model) => model.number === body.restores);
  if (earlier?.modelHash !== body.modelHash || earlier.modelBytes !== body.modelBytes)
    return reject('UNKNOWN_MODEL', 'not the model that it says to restore');
  if (newestModel(t)!.modelHash === body.modelHash)
    return reject('UNKNOWN_MODEL', 'the newest model is this one already');
  return body.decide === null ? null : reject('NOT_RELEASED', 'a restored model names no decision');
}

/** The first model, the one made from a released sum, or an earlier one again; each number follows the one before. */
export function modelRule(t: Transcript, { leaf }: Signed<'model'>): Patch | Rejection {
  const { body } = leaf;
  if (findParty(t, leaf.actor)?.role !== 'recipient') return reject('WRONG_ROLE', 'only a recipient publishes models');
  const newest = newestModel(t);
  if (body.number !== (newest === null ? 0 : newest.number + 1)) {
    return reject('UNKNOWN_MODEL', 'model numbers follow one another');
  }
  if (body.restores !== undefined) return checkRestored(t, body) ?? { model: { ...body, index: t.size } };
  if ((body.decide === null) !== (newest === null))
    return reject('NOT_RELEASED', 'all but the first model name a decision');
  if (body.decide !== null) {
    const round = t.rounds.get(t.roundOfDecide.get(body.decide) ?? '');
    if (round?.phase !== 'released') return reject('NOT_RELEASED', 'the decision has no released result');
    if (!round.releasedBy.includes(leaf.actor)) return reject('WRONG_ROLE', 'another recipient released that result');
    const unfinished = checkGroup(t, round, leaf.actor);
    if (unfinished !== null) return unfinished;
    if (t.models.some((model) => model.decide === body.decide)) {
      return reject('DUPLICATE_RELEASE', 'a model was already made from that result');
    }
  }
  return { model: { ...body, index: t.size } };
}
