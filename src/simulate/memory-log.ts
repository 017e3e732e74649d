import { addSignatures, cosign, signCheckpoint } from '../../crypto/checkpoint.ts';
import { HashTree } from '../../crypto/hash-tree.ts';
import { leafHash } from '../../crypto/merkle.ts';
import type { Signer } from '../../crypto/note.ts';
import type { Primitives } from '../../crypto/primitives.ts';
import { isRejection, type Rejection } from '../../protocols/errors.ts';
import { applyPatch, emptyTranscript } from '../../protocols/patch.ts';
import { judge, verifyNext } from '../../protocols/rules.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import type { SignedLeaf, Verified } from '../../protocols/verified.ts';

/** A log in memory that takes only leaves that count, as the coordinator's does, and whose witnesses always cosign. */
export class MemoryLog {
  readonly leaves: Uint8Array[] = [];
  transcript: Transcript = emptyTranscript();
  readonly #p: Primitives;
  readonly #log: Signer;
  readonly #witnesses: readonly Signer[];
  readonly #tree: HashTree;

  constructor(p: Primitives, log: Signer, witnesses: readonly Signer[]) {
    this.#p = p;
    this.#log = log;
    this.#witnesses = witnesses;
    this.#tree = new HashTree(p);
  }

  /** Appends a leaf if it counts. A rejection changes nothing. */
  append(bytes: Uint8Array): Verified<SignedLeaf> | Rejection {
    const signed = verifyNext(this.#p, this.transcript, bytes);
    if (isRejection(signed)) return signed;
    const patch = judge(this.#p, this.transcript, signed);
    if (isRejection(patch)) return patch;
    this.transcript = applyPatch(this.transcript, patch);
    this.leaves.push(bytes);
    this.#tree.append(leafHash(this.#p, bytes));
    return signed;
  }

  /** Root over all leaves. */
  root(): Uint8Array {
    return this.#tree.root();
  }

  /** The head over all leaves, cosigned by every witness. */
  checkpoint(seconds: number): Uint8Array {
    const head = { origin: this.#log.verifier.name, size: this.leaves.length, root: this.#tree.root() };
    const note = signCheckpoint(this.#p, this.#log, head);
    const lines = this.#witnesses.map((witness) => cosign(this.#p, witness, note, seconds));
    return addSignatures(note, lines);
  }
}
