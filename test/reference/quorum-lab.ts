import { utf8 } from '../../crypto/encoding.ts';
import { CryptoError } from '../../crypto/errors.ts';
import { xwingKeyPair } from '../../crypto/hpke.ts';
import { type MaskPeer, pairwiseMask } from '../../crypto/masks.ts';
import { createEncryptor, createOpener, createSum, type PayloadContext } from '../../crypto/payload.ts';
import type { Primitives, Rng } from '../../crypto/primitives.ts';
import { addResidues, applyExpanded, reduceResidues } from '../../crypto/residues.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { type Holder, openSeeds, sealSeeds } from '../../crypto/share-box.ts';
import {
  correction,
  deriveSeeds,
  heldBy,
  type MemberSet,
  type ShareContext,
  seedCommitment,
  subsets,
} from '../../crypto/sharing.ts';
import { hashOf } from './engines.ts';

/** A node's upload, with what only the node knows. */
export interface LabUpload {
  readonly values: Int32Array;
  readonly key: Int16Array;
  readonly updateHash: SecretBytes;
  readonly maskSecret: SecretBytes;
  readonly payload: readonly Uint8Array[];
}

/** All that anybody records of one confirmation: the correction, one box per holder, commitments. */
export interface Submission {
  readonly node: string;
  readonly context: ShareContext;
  readonly z: Uint16Array;
  readonly boxes: readonly Uint8Array[];
  readonly commitments: readonly Uint8Array[];
}

/**
 * The cryptography of a round without log and rules: uploads, confirmations of any set under any close, and what somebody
 * with some of the holders' round keys makes of the record. For attacks that need many rounds, or parties that lie.
 */
export class QuorumLab {
  readonly sets: readonly MemberSet[];
  /** Members by index, then one recipient. */
  readonly holders: readonly { readonly holder: Holder; readonly key: SecretBytes; readonly publicKey: Uint8Array }[];
  readonly uploads = new Map<string, LabUpload>();
  readonly #context: PayloadContext;
  readonly #rng: Rng;
  readonly #opened = new WeakMap<Submission, Map<number, Map<number, SecretBytes> | null>>();

  constructor(context: PayloadContext, rng: Rng) {
    this.#context = context;
    this.#rng = rng;
    const { members, threshold } = context.parameters;
    this.sets = subsets(members, threshold);
    this.holders = Array.from({ length: members + 1 }, (_, index) => {
      const key = new SecretBytes('round key', rng(32));
      const holder: Holder =
        index < members ? { role: 'member', index } : { role: 'recipient', index: index - members };
      return { holder, key, publicKey: xwingKeyPair(this.#p, key).publicKey };
    });
  }

  get #p(): Primitives {
    return this.#context.primitives;
  }

  /** Index of the recipient among the holders. */
  get recipient(): number {
    return this.#context.parameters.members;
  }

  upload(node: string, values: Int32Array): LabUpload {
    using seed = new SecretBytes('upload seed', this.#rng(32));
    using encryptor = createEncryptor(this.#context, values, seed);
    const { blocks } = this.#context.parameters;
    const upload = {
      values,
      key: encryptor.key.slice(),
      updateHash: new SecretBytes('update hash', encryptor.updateHash.bytes.slice()),
      maskSecret: new SecretBytes('mask key', this.#rng(32)),
      payload: Array.from({ length: blocks }, (_, block) => encryptor.block(block)),
    };
    this.uploads.set(node, upload);
    return upload;
  }

  /** Confirms a set as the node was shown it. @param model - name of the model that it was given. */
  confirm(node: string, cohort: readonly string[], close: string, model = 'model'): Submission {
    const p = this.#p;
    const { maskModulusBits } = this.#context.parameters;
    const own = this.uploads.get(node)!;
    const context: ShareContext = { closeHash: hashOf(close), bucket: 0, node: utf8(node) };
    const mask = this.mask(node, cohort, close, model);
    using fresh = new SecretBytes('attempt seed', this.#rng(32));
    using seeds = deriveSeeds(p, fresh, own.updateHash.bytes, context, this.sets);
    const z = correction(p, own.key, mask, seeds, maskModulusBits);
    const boxes = this.holders.map(({ holder, publicKey }) => {
      const held = holder.role === 'member' ? heldBy(this.sets, holder.index).map((t) => seeds.ofSets[t]!) : [];
      const sent = holder.role === 'member' ? held : [seeds.ofRecipients];
      return sealSeeds(p, this.#rng, context, holder, publicKey, sent);
    });
    const commitments = [
      ...this.sets.map((set, t) => seedCommitment(p, context, set, seeds.ofSets[t]!)),
      seedCommitment(p, context, [], seeds.ofRecipients),
    ];
    return { node, context, z, boxes, commitments };
  }

  /** A node's pairwise mask over a set. Of a set of two it is what a corrupt node knows of the other one's mask, negated. */
  mask(node: string, cohort: readonly string[], close: string, model = 'model'): Uint16Array {
    const p = this.#p;
    const { maskModulusBits, ringDegree } = this.#context.parameters;
    const peers: MaskPeer[] = cohort.map((name) => ({
      identity: utf8(name),
      publicKey: p.x25519PublicKey(this.uploads.get(name)!.maskSecret.bytes),
    }));
    const context = { closeHash: hashOf(close), bucket: 0, modelHash: hashOf(model) };
    const { maskSecret } = this.uploads.get(node)!;
    return pairwiseMask(p, maskSecret, utf8(node), context, peers, maskModulusBits, ringDegree);
  }

  /** The seeds in one holder's box, by index of the set; the recipient's under -1. Null if its key does not open it. */
  seedsFor(submission: Submission, holder: number): Map<number, SecretBytes> | null {
    const known = this.#opened.get(submission) ?? new Map<number, Map<number, SecretBytes> | null>();
    this.#opened.set(submission, known);
    if (!known.has(holder)) known.set(holder, this.openBox(submission, holder, this.holders[holder]!.key));
    return known.get(holder)!;
  }

  /** The same with some other key. */
  openBox(submission: Submission, holder: number, key: SecretBytes): Map<number, SecretBytes> | null {
    const to = this.holders[holder]!.holder;
    const own = to.role === 'member' ? heldBy(this.sets, to.index) : [-1];
    const expected = own.map((t) => ({ set: this.sets[t] ?? [], commitment: submission.commitments.at(t)! }));
    const opened = openSeeds(this.#p, key, submission.context, to, expected, submission.boxes[holder]!);
    return 'seeds' in opened ? new Map(own.map((t, i) => [t, opened.seeds[i]!])) : null;
  }

  /**
   * What the given holders take off the corrections together: the sum over the submissions of z_i and of every PRG that
   * one of them has the seed of, lifted to (-M/2, M/2]. With all seeds: the sum of k_i + mask_i.
   */
  unmask(submissions: readonly Submission[], holders: readonly number[]): Int32Array {
    const { maskModulusBits, ringDegree } = this.#context.parameters;
    const total = new Uint16Array(ringDegree);
    for (const submission of submissions) {
      addResidues(total, submission.z);
      const known = new Map<number, SecretBytes>();
      for (const holder of holders) for (const [t, seed] of this.seedsFor(submission, holder) ?? []) known.set(t, seed);
      for (const seed of known.values()) applyExpanded(this.#p, total, seed, 1);
    }
    return lift(reduceResidues(total, maskModulusBits), maskModulusBits);
  }

  /** Wire blocks of the sum of some uploads. */
  sum(nodes: readonly string[]): Uint8Array[] {
    using sum = createSum(this.#context);
    for (const node of nodes)
      for (const [block, wire] of this.uploads.get(node)!.payload.entries()) sum.add(block, wire);
    return Array.from({ length: this.#context.parameters.blocks }, (_, block) => sum.block(block));
  }

  /** The values of a (summed) payload under a key; null where it does not fit. */
  open(key: Int32Array, payload: readonly Uint8Array[]): Int32Array | null {
    return openWith(this.#context, key, payload);
  }
}

/** The values of a payload under a key; null where it does not fit. */
export function openWith(context: PayloadContext, key: Int32Array, payload: readonly Uint8Array[]): Int32Array | null {
  using opener = createOpener(context, key);
  try {
    return Int32Array.from(payload.flatMap((wire, block) => [...opener.block(block, wire)]));
  } catch (error) {
    if (error instanceof CryptoError && error.code === 'KEY_DOES_NOT_FIT') return null;
    throw error;
  }
}

/** Residues modulo 2^bits as integers of (-M/2, M/2]. */
export function lift(residues: Uint16Array, bits: number): Int32Array {
  return Int32Array.from(residues, (value) => (value > 2 ** (bits - 1) ? value - 2 ** bits : value));
}

export function subtract(a: Int32Array, b: Int32Array): Int32Array {
  return a.map((value, i) => value - b[i]!);
}
