import { z } from 'zod';
import { canonicalTextOf, exact, type Guard, integerFrom, listOf, only, schemaOf } from './exact.ts';
import {
  countField,
  hashField,
  isCount,
  isHash,
  isKey,
  isName,
  isSignature,
  kemKeyField,
  keyField,
  keyNameField,
  labelField,
  nameField,
  signatureField,
} from './fields.ts';
import { recordField } from './record.ts';
import { LEAST_ORDER, MOST_ORDER } from './sampled-charge.ts';

/** Largest leaf, in bytes: a C2SP entry bundle prefixes each with two bytes of length. */
export const MAX_LEAF_BYTES = 65_535;

const roleField = z.enum(['node', 'recipient', 'aggregator', 'coordinator', 'member', 'witness']);
export type Role = z.infer<typeof roleField>;

/** A party as the log knows it. `kemKey` receives models (nodes); null where nothing is ever sealed to the party. */
const partyFields = {
  name: nameField,
  role: roleField,
  organisation: labelField,
  region: labelField,
  key: keyField,
  kemKey: kemKeyField.nullable(),
  tlsKeySha256: hashField,
};

/** The first leaf: everything that no later leaf can change. Signed by the root key that it names. */
const genesis = z.strictObject({
  origin: z.string().regex(/^[a-z0-9.-]{1,100}(?:\/[a-z0-9._-]{1,60}){0,3}$/),
  rootKey: keyField,
  /** Ed25519 key that signs checkpoints. */
  logKey: keyField,
  coordinator: z.strictObject(partyFields),
  members: z
    .array(z.strictObject({ ...partyFields, witnessKey: keyField }))
    .min(3)
    .max(64),
  threshold: z.int().min(2).max(64),
  witnesses: z
    .array(
      z.strictObject({
        name: nameField,
        organisation: labelField,
        witnessKey: keyField,
        /** Name of its key in notes, where a witness of other people brings its own. */
        keyName: keyNameField.optional(),
      }),
    )
    .max(64),
  /** W witnesses of which w cosign; at most f are corrupt or restored; 2w > W + f. */
  cosigning: z.strictObject({ witnesses: z.int().min(1), needed: z.int().min(1), faulty: z.int().min(0) }),
  minimums: z.strictObject({ cohort: z.int().min(2), organisations: z.int().min(1), honest: z.int().min(2) }),
  budget: z.strictObject({
    unit: z.enum(['record', 'node']),
    rhoNano: countField,
    epsilonMicro: countField,
    /** delta = 10^-deltaExponent */
    deltaExponent: z.int().min(1).max(30),
    /** Where it is given the budget is of the Renyi divergence of this order over the order, and records may be drawn. */
    renyiOrder: z.int().min(LEAST_ORDER).max(MOST_ORDER).optional(),
  }),
  approvals: z.literal('none'),
});

const isUpload = exact({
  round: isHash,
  key: isKey,
  nonce: isHash,
  payloadHash: isHash,
  payloadBytes: integerFrom(1),
  /** The checkpoint that the node last saw. */
  seen: exact({ size: isCount, root: isHash }),
});

/** One box for each member and recipient. */
const isBoxes = listOf(exact({ holder: isName, hash: isHash }), 1, 72);
/** Commitments to the seeds, one per set of the sharing in its canonical order, then one per recipient. */
const isSeeds = listOf(isKey, 1, 264);

const isConfirm = exact({
  close: isHash,
  modelHash: isHash,
  correctionHash: isHash,
  boxes: isBoxes,
  seeds: isSeeds,
  /** Checksum: six residues for each prime, in the order of the primes. */
  checksum: listOf(integerFrom(0, 2 ** 30), 6, 96),
});

/** An upload of a round without masks: with it goes what a confirmation carries, bound to the record instead of a close leaf. */
const isOneShot = exact({
  round: isHash,
  nonce: isHash,
  payloadHash: isHash,
  payloadBytes: integerFrom(1),
  seen: exact({ size: isCount, root: isHash }),
  /** The model that the update was trained from: the round's, or an earlier one. */
  model: exact({ number: isCount, hash: isHash }),
  correctionHash: isHash,
  boxes: isBoxes,
  seeds: isSeeds,
});

const bodies = {
  genesis,
  enrol: z.strictObject({ ...partyFields, possession: signatureField }),
  revoke: z.strictObject({ name: nameField, reason: labelField }),
  /** A party names another TLS key, which its peers then know it by. `replaces` is the one that it is known by until then. */
  'tls-key': z.strictObject({ tlsKeySha256: hashField, replaces: hashField }),
  /** Members join and leave: the quorum of rounds that are opened after it. */
  quorum: z.strictObject({
    number: z.int().min(1),
    members: z.array(nameField).min(3).max(64),
    threshold: z.int().min(2).max(64),
    approvals: z
      .array(z.strictObject({ member: nameField, signature: signatureField }))
      .min(1)
      .max(64),
  }),
  /** The coordinator asks members and recipients for keys of a coming round. */
  announce: z.strictObject({ task: labelField, number: z.int().min(1), recipients: z.array(nameField).min(1).max(8) }),
  'round-key': z.strictObject({ announce: hashField, kemKey: kemKeyField }),
  model: z.strictObject({
    number: z.int().min(0),
    modelHash: hashField,
    modelBytes: z.int().min(1),
    /** Hash of the sealed file that nodes fetch. */
    sealedHash: hashField,
    /** Decide leaf of the round it was made from; null for the first model, and for one that goes back. */
    decide: hashField.nullable(),
    /** Number of the earlier model that this one is again, sealed anew; absent: a model of its own. */
    restores: z.int().min(0).optional(),
  }),
  open: z.strictObject({ record: recordField }),
  upload: schemaOf(isUpload),
  'one-shot': schemaOf(isOneShot),
  close: z.strictObject({
    round: hashField,
    attempt: z.int().min(1).max(16),
    uploads: schemaOf(listOf(isCount, 1, 1024)),
    /** Hash over the leaf hashes of these uploads: indices alone would mean other nodes in another view of the log. */
    cohortHash: hashField,
    sumHash: hashField,
  }),
  confirm: schemaOf(isConfirm),
  ready: z.strictObject({ close: hashField }),
  complaint: z.strictObject({ confirm: hashField, code: z.enum(['BOX_UNREADABLE', 'SEED_MISMATCH']) }),
  reseal: z.strictObject({ confirm: hashField, holder: nameField, hash: hashField }),
  decide: z.strictObject({
    round: hashField,
    attempt: z.int().min(1).max(16),
    close: hashField,
    confirms: schemaOf(listOf(isCount, 1, 1024)),
    sumHash: hashField,
    correctionSumHash: hashField,
    rhoNano: countField,
  }),
  answer: z.strictObject({
    decide: hashField,
    /** Hashes of K_T for every set T that contains the member, in canonical order. */
    shares: schemaOf(listOf(isHash, 1, 256)),
    sealed: z
      .array(z.strictObject({ recipient: nameField, hash: hashField }))
      .min(1)
      .max(8),
  }),
  release: z.strictObject({ decide: hashField, resultHash: hashField, liars: z.array(nameField).max(64) }),
  abort: z.strictObject({
    /** Hash of the record; of the announce leaf where the round was never opened. */
    round: hashField,
    reason: z.enum([
      'COHORT_TOO_SMALL',
      'TOO_FEW_ORGS',
      'TOO_MANY_ATTEMPTS',
      'NOT_READY',
      'RECIPIENT_NOT_READY',
      'BOX_DISPUTED',
      'TOO_FEW_ANSWERS',
      'BOX_UNREADABLE',
      'KEY_DOES_NOT_FIT',
      'CHECKSUM_MISMATCH',
      'SUM_MALFORMED',
      'BLOB_LOST',
      'OPERATOR',
      'ROUND_ENDED',
      'ROUND_KEY_MISSING',
      'REVOKED',
    ]),
  }),
} as const;

export type Kind = keyof typeof bodies;
export type Body<K extends Kind> = z.infer<(typeof bodies)[K]>;

/** A leaf as it stands in the log. `time` is what the actor's clock said, in ms since 1970: informative, decides nothing. */
export interface Leaf<K extends Kind = Kind> {
  readonly v: 1;
  readonly kind: K;
  /** Hash of the genesis body, so that no leaf can be moved to another log; 64 zeros in the genesis leaf itself. */
  readonly log: string;
  readonly actor: string;
  readonly time: number;
  readonly body: Body<K>;
  readonly sig: string;
}

/** A leaf of some kind, so that `switch (leaf.kind)` narrows its body. */
export type AnyLeaf = { [K in Kind]: Leaf<K> }[Kind];

/** What is around a body. */
const envelope = { v: only(1), log: isHash, actor: isName, time: isCount, sig: isSignature };

const isEnvelope = exact({
  ...envelope,
  kind: (value): value is string => typeof value === 'string' && value.length <= 32,
  body: (_): _ is unknown => true,
});

const leafOf = (kind: Kind, body: Guard<unknown>): Guard<unknown> => exact({ ...envelope, kind: only(kind), body });

/**
 * Canonical texts of the kinds that nine of ten leaves are of. One pattern says what parsing, encoding again, comparing
 * and looking at every field say, in about half of the time.
 *
 * Law: `parseShape(parseCanonical(bytes))` accepts the bytes of every text that matches.
 */
export const COMMON_LEAF = canonicalTextOf(
  leafOf('upload', isUpload),
  leafOf('confirm', isConfirm),
  leafOf('one-shot', isOneShot),
);

export type ParsedShape =
  | { ok: true; leaf: AnyLeaf }
  | { ok: false; code: 'MALFORMED' | 'UNKNOWN_KIND' | 'UNKNOWN_VERSION' };

/** Checks the shape of decoded canonical JSON. Unknown kinds, versions, fields and spellings fail closed. */
export function parseShape(json: unknown): ParsedShape {
  if (typeof json === 'object' && json !== null && 'v' in json && json.v !== 1)
    return { ok: false, code: 'UNKNOWN_VERSION' };
  if (!isEnvelope(json)) return { ok: false, code: 'MALFORMED' };
  if (!Object.hasOwn(bodies, json.kind)) return { ok: false, code: 'UNKNOWN_KIND' };
  // Schemas change nothing: what was read is kept, in the order it came in, which is that of RFC 8785.
  if (!bodies[json.kind as Kind].safeParse(json.body).success) return { ok: false, code: 'MALFORMED' };
  return { ok: true, leaf: json as unknown as AnyLeaf };
}
