import { createChecksum } from '../crypto/checksum.ts';
import { fromHex, toHex } from '../crypto/encoding.ts';
import { CryptoError } from '../crypto/errors.ts';
import { blockBytes, createSum, type PayloadContext } from '../crypto/payload.ts';
import type { Primitives } from '../crypto/primitives.ts';
import { addCorrections, checkCorrection } from './aggregator.ts';
import { type AuditInput, type AuditResult, auditing } from './audit.ts';
import { type BlobBounds, blobBounds, modelBound } from './blob-bounds.ts';
import { type Finding, finding } from './findings.ts';
import { isOneShot } from './one-shot.ts';
import type { RoundRecord } from './record.ts';
import { type Attempt, type Decision, decisionOf, type Round, type Transcript, type Upload } from './transcript.ts';

/** One stored blob, open for reading. */
export interface AuditBlob extends Disposable {
  /** SHA-256 of its bytes as they are now, hexadecimal, computed when it is asked for: its name is only a claim. */
  readonly sha256: string;
  readonly lengthBytes: number;
  read(at: number, bytes: number): Uint8Array;
}

/** Blobs by their names, which are hashes. */
export interface AuditBlobs {
  /** Null where there is no such blob. */
  open(hash: string): AuditBlob | null;
}

/** How many of what the log names were there and computed again. */
export interface Tally {
  readonly named: number;
  readonly recomputed: number;
}

export type BlobKind = 'payloads' | 'sums' | 'checksums' | 'corrections' | 'correctionSums' | 'boxes' | 'answers';

/** What the blobs of one round showed. */
export interface RoundBlobs {
  readonly number: number;
  readonly task: string;
  readonly round: string;
  readonly tallies: Readonly<Record<BlobKind, Tally>>;
  /**
   * `recomputed`: every payload of the decided set was read, its sum, checksums and corrections added up again and equal.
   * Never said where any of that was missing. Null where nothing was decided.
   */
  readonly sum: 'recomputed' | 'not recomputed' | 'different' | null;
}

export interface BlobAudit {
  readonly findings: readonly Finding[];
  readonly rounds: readonly RoundBlobs[];
  /** Sealed models that the log names. */
  readonly models: Tally;
}

/** Check 15 for one round. */
class RoundCheck {
  readonly findings: Finding[] = [];
  readonly tallies: Record<BlobKind, { named: number; recomputed: number }>;
  readonly #round: Round;
  readonly #blobs: AuditBlobs;
  readonly #context: PayloadContext;
  readonly #bounds: BlobBounds;

  constructor(round: Round, blobs: AuditBlobs, context: PayloadContext) {
    this.#round = round;
    this.#blobs = blobs;
    this.#context = context;
    this.#bounds = blobBounds(context.parameters);
    const none = () => ({ named: 0, recomputed: 0 });
    this.tallies = {
      payloads: none(),
      sums: none(),
      checksums: none(),
      corrections: none(),
      correctionSums: none(),
      boxes: none(),
      answers: none(),
    };
  }

  /** @returns true when everything that the sum depends on was there and equal. */
  run(): boolean {
    const round = this.#round;
    const good = new Set<string>();
    for (const upload of round.uploads.values()) if (this.#checkPayload(upload)) good.add(upload.node);
    const decision = decisionOf(round);
    let whole = false;
    for (const attempt of round.attempts) {
      const complete = attempt.cohort.every(({ node }) => good.has(node));
      const checks = [
        this.#checkSum(attempt, complete),
        this.#checkChecksums(attempt, good),
        this.#checkCorrections(attempt, decision?.attempt.close === attempt.close ? decision : null),
      ];
      this.#checkBoxes(attempt);
      if (decision?.attempt.close === attempt.close) whole = checks.every((done) => done);
    }
    for (const { index, body } of decision?.answers.values() ?? []) {
      for (const { hash } of body.sealed) this.#checkHash('answers', hash, index);
    }
    return whole;
  }

  /** Whether a blob is there and holds what its name says. One that is too long is not hashed: it may be as long as a disk. */
  #checkHash(kind: keyof BlobBounds, hash: string, index: number): boolean {
    this.tallies[kind].named++;
    using blob = this.#blobs.open(hash);
    if (blob === null) return false;
    const isLonger = blob.lengthBytes > this.#bounds[kind];
    if (isLonger || blob.sha256 !== hash) {
      const why = isLonger ? 'is longer than any that its leaf may name' : 'does not have this hash';
      this.findings.push(finding('BLOB_CORRUPT', index, `the blob ${hash} ${why}`));
      return false;
    }
    this.tallies[kind].recomputed++;
    return true;
  }

  #checkPayload({ index, body }: Upload): boolean {
    if (!this.#checkHash('payloads', body.payloadHash, index)) return false;
    using payload = this.#blobs.open(body.payloadHash);
    if (payload !== null && payload.lengthBytes === body.payloadBytes) return true;
    this.findings.push(finding('BLOB_CORRUPT', index, 'the payload is not as long as its upload says'));
    return false;
  }

  *#blocks(blob: AuditBlob): Generator<[number, Uint8Array]> {
    const { parameters } = this.#context;
    for (let block = 0, at = 0; block < parameters.blocks; block++) {
      const bytes = blockBytes(parameters, block);
      yield [block, blob.read(at, bytes)];
      at += bytes;
    }
  }

  /** Adds U's payloads block by block: memory is that of one block, and of the sum where no blob of it is kept. */
  #checkSum(attempt: Attempt, complete: boolean): boolean {
    this.tallies.sums.named++;
    const bad = (why: string): false => {
      this.findings.push(finding('SUM_NOT_REPRODUCED', attempt.closeIndex, why));
      return false;
    };
    using kept = this.#blobs.open(attempt.sumHash);
    if (kept !== null && (kept.lengthBytes > this.#bounds.payloads || kept.sha256 !== attempt.sumHash)) {
      this.findings.push(finding('BLOB_CORRUPT', attempt.closeIndex, 'the blob of the sum does not have its hash'));
    }
    if (!complete) return false;
    const { parameters, primitives } = this.#context;
    const payloads = attempt.cohort.map(({ body }) => this.#blobs.open(body.payloadHash)!);
    const blocks: Uint8Array[] = [];
    try {
      using sum = createSum(this.#context);
      for (let block = 0, at = 0; block < parameters.blocks; block++) {
        const bytes = blockBytes(parameters, block);
        for (const payload of payloads) sum.add(block, payload.read(at, bytes));
        blocks.push(sum.block(block));
        sum.release(block);
        at += bytes;
      }
    } catch (error) {
      if (error instanceof CryptoError) return bad('a payload of U holds residues that are none');
      throw error;
    } finally {
      for (const payload of payloads) payload[Symbol.dispose]();
    }
    if (toHex(primitives.sha256(...blocks)) !== attempt.sumHash) {
      return bad('the payloads of U do not add up to the sum that was closed over');
    }
    this.tallies.sums.recomputed++;
    return true;
  }

  /** rho of every node that confirmed, from its payload and the close leaf. */
  #checkChecksums(attempt: Attempt, good: ReadonlySet<string>): boolean {
    let all = true;
    if (isOneShot(attempt)) return true; // nobody signs one: adding up again is all there is
    for (const { node, body } of attempt.cohort) {
      const confirm = attempt.confirms.get(node);
      if (confirm === undefined) continue;
      this.tallies.checksums.named++;
      using payload = good.has(node) ? this.#blobs.open(body.payloadHash) : null;
      if (payload === null) {
        all = false;
        continue;
      }
      using checksum = createChecksum(this.#context, fromHex(attempt.close, 32));
      let same = false;
      try {
        for (const [block, wire] of this.#blocks(payload)) checksum.add(block, wire);
        same = checksum.value().every((residue, i) => residue === confirm.body.checksum[i]);
      } catch (error) {
        if (!(error instanceof CryptoError)) throw error;
      }
      if (same) this.tallies.checksums.recomputed++;
      else {
        const why = 'the checksum that the node signed is not that of its payload';
        this.findings.push(finding('CHECKSUM_NOT_REPRODUCED', confirm.index, why));
        all = false;
      }
    }
    return all;
  }

  #checkCorrections(attempt: Attempt, decision: Decision | null): boolean {
    const { record } = this.#round;
    const corrections: Uint8Array[] = [];
    for (const confirm of attempt.confirms.values()) {
      if (!this.#checkHash('corrections', confirm.body.correctionHash, confirm.index)) continue;
      using blob = this.#blobs.open(confirm.body.correctionHash)!;
      const packed = blob.read(0, blob.lengthBytes);
      if (checkCorrection(record, packed) === null) corrections.push(packed);
      else this.findings.push(finding('BLOB_CORRUPT', confirm.index, 'the correction is not N packed residues'));
    }
    if (decision === null) return false;
    this.tallies.correctionSums.named++;
    if (corrections.length < attempt.cohort.length) return false;
    const sum = addCorrections(record, corrections);
    if (toHex(this.#context.primitives.sha256(sum)) !== decision.body.correctionSumHash) {
      const why = 'the corrections do not add up to the sum that was decided over';
      this.findings.push(finding('SUM_NOT_REPRODUCED', decision.index, why));
      return false;
    }
    this.tallies.correctionSums.recomputed++;
    return true;
  }

  #checkBoxes(attempt: Attempt): void {
    for (const confirm of attempt.confirms.values()) {
      for (const { hash } of confirm.body.boxes) this.#checkHash('boxes', hash, confirm.index);
      for (const { resealed } of attempt.complaints.get(confirm.hash)?.values() ?? []) {
        if (resealed !== null) this.#checkHash('boxes', resealed, confirm.index);
      }
    }
  }
}

/** One round's blobs. */
interface Checked {
  readonly findings: readonly Finding[];
  readonly blobs: RoundBlobs;
}

/**
 * Check 15: with the blobs, every hash is computed again, the payloads of every closed set are added up again, and the
 * checksums and corrections with them. What is not there is counted as not recomputed; that is no finding and no "ok".
 */
export class BlobAuditor {
  readonly #blobs: AuditBlobs;
  readonly #contextOf: (record: RoundRecord) => Promise<PayloadContext>;
  readonly #checked = new Map<string, Checked>();

  /** @param contextOf - an engine for a record's ring. */
  constructor(blobs: AuditBlobs, contextOf: (record: RoundRecord) => Promise<PayloadContext>) {
    this.#blobs = blobs;
    this.#contextOf = contextOf;
  }

  /** Reads the blobs of one round. A round that is seen again is seen anew. */
  async see(round: Round): Promise<void> {
    const check = new RoundCheck(round, this.#blobs, await this.#contextOf(round.record));
    const whole = check.run();
    const wrong = check.findings.some(({ code }) => code !== 'BLOB_CORRUPT');
    const { number, task } = round.record;
    const said = whole ? 'recomputed' : wrong ? 'different' : 'not recomputed';
    const sum: RoundBlobs['sum'] = decisionOf(round) === null ? null : said;
    const blobs = { number, task, round: round.id, tallies: check.tallies, sum };
    this.#checked.set(round.id, { findings: check.findings, blobs });
  }

  /** @param t - of the audit that gave the rounds. @returns what was seen of its rounds, and of its sealed models. */
  finish(t: Transcript): BlobAudit {
    const checked = [...t.rounds.keys()].flatMap((id) => this.#checked.get(id) ?? []);
    const findings = checked.flatMap((round) => round.findings);
    let recomputed = 0;
    for (const { number, modelBytes, sealedHash } of t.models) {
      using blob = this.#blobs.open(sealedHash);
      if (blob === null) continue;
      if (blob.lengthBytes <= modelBound(modelBytes) && blob.sha256 === sealedHash) recomputed++;
      else findings.push(finding('BLOB_CORRUPT', null, `the sealed model ${number} has another hash`));
    }
    return { findings, rounds: checked.map(({ blobs }) => blobs), models: { named: t.models.length, recomputed } };
  }
}

/** Audits a log and its blobs in one reading, round by round: what is kept of a round that has ended is what is said of it. */
export async function auditWithBlobs(
  p: Primitives,
  input: AuditInput,
  auditor: BlobAuditor,
): Promise<{ readonly log: AuditResult; readonly blobs: BlobAudit }> {
  const rounds = auditing(p, input);
  for (;;) {
    const step = rounds.next();
    if (step.done === true) return { log: step.value, blobs: auditor.finish(step.value.transcript) };
    await auditor.see(step.value);
  }
}
