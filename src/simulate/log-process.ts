import { toHex } from '../../crypto/encoding.ts';
import { HashTree } from '../../crypto/hash-tree.ts';
import { leafHash } from '../../crypto/merkle.ts';
import { isRejection, type Rejection, reject } from '../../protocols/errors.ts';
import { isAwaited } from '../../protocols/head-pace.ts';
import type { Body, Kind } from '../../protocols/leaves.ts';
import { applyPatch, emptyTranscript } from '../../protocols/patch.ts';
import { judge, takeLeaf, verifyNext } from '../../protocols/rules.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { decodeLeaf, isKind } from '../../protocols/verified.ts';
import { AskingProcess } from './asking-process.ts';
import { type CosignedLog, Cosigning, type Published, publishedOn } from './cosigning.ts';
import type { Disk } from './disk.ts';
import type { Response } from './messages.ts';
import { CallFailed } from './network.ts';
import { Latch, type Task } from './process.ts';
import type { Setting } from './reader-process.ts';
import { Violation } from './truth.ts';

/** Kinds whose leaves come through an aggregator, as src/party/log-service.ts has them. */
const STORED: ReadonlySet<string> = new Set<Kind>(['upload', 'one-shot', 'confirm', 'reseal', 'answer']);
const FOLLOW_MS = 5000;
const entryKey = (index: number): string => `log/entry/${String(index).padStart(6, '0')}`;

interface Waiting {
  readonly bytes: Uint8Array;
  readonly done: Latch;
  index: number;
  failure: CallFailed | null;
}

/**
 * Keeps the log. Mirrors `LogKeeper`, `Cosigning`, `logService` (src/party) and `LogStore` (src/log): a leaf is judged
 * where it would stand, durable before it is acknowledged, published under w cosignatures; a head is durable before any
 * witness sees it.
 */
export abstract class LogProcess extends AskingProcess implements CosignedLog {
  readonly setting: Setting;
  transcript: Transcript = emptyTranscript();
  protected entries: Uint8Array[] = [];
  tree!: HashTree;
  published: Published | null = null;
  readonly keys = 'log';
  #firstSeen = new Map<string, number>();
  #indexOf = new Map<string, number>();
  readonly #forced = new Set<Uint8Array>();
  #queue: Waiting[] = [];
  #isAppending = false;
  /** Shows heads that have too few cosignatures. Honest logs never do. */
  protected readonly isEager: boolean = false;
  #cosigning!: Cosigning;
  #followers = new Set<Latch>();

  constructor(setting: Setting, name: string) {
    super(setting, name);
    this.setting = setting;
    for (const [i, bytes] of setting.founding.firstLeaves.entries()) this.disk.put([[entryKey(i), bytes]]);
  }

  protected begin(): void {
    this.transcript = emptyTranscript();
    this.entries = [];
    this.tree = new HashTree(this.p);
    this.published = publishedOn(this, this.keys);
    this.#firstSeen = new Map();
    this.#indexOf = new Map();
    this.#queue = [];
    this.#isAppending = false;
    this.#followers = new Set();
    for (let i = 0; this.disk.has(entryKey(i)); i++) this.#replay(this.disk.get<Uint8Array>(entryKey(i))!);
    const { members, witnesses } = this.setting.founding;
    this.#cosigning = new Cosigning(this, this.setting, this, [...members, ...witnesses], this.isEager);
    this.#cosigning.now();
  }

  /** A head was published. */
  changed(): void {
    for (const latch of [...this.#followers]) latch.open();
    this.poke();
  }

  get p() {
    return this.setting.founding.kit.primitives;
  }

  firstSeen(hash: string): number {
    return this.#firstSeen.get(hash) ?? 0;
  }

  leaf<K extends Kind>(kind: K, body: Body<K>): Uint8Array {
    return this.setting.founding.leaf('coordinator', kind, body, this.world.clock);
  }

  #replay(bytes: Uint8Array): void {
    const taken = takeLeaf(this.p, this.transcript, bytes);
    if (taken.outcome === 'refused') {
      if (this.setting.isLogHonest) throw new Violation('S13', `its own log: ${taken.rejection.why}`);
      this.transcript = applyPatch(this.transcript, {});
      this.#keep(bytes);
      return;
    }
    this.#note(taken.signed.hash, this.transcript.size);
    this.transcript = taken.next;
    this.#keep(bytes);
  }

  #keep(bytes: Uint8Array): void {
    this.entries.push(bytes);
    this.tree.append(leafHash(this.p, bytes));
  }

  #note(hash: string, index: number): void {
    this.#indexOf.set(hash, index);
    this.#firstSeen.set(hash, this.world.clock);
  }

  *append(bytes: Uint8Array): Task<number> {
    const waiting: Waiting = { bytes, done: new Latch(), index: -1, failure: null };
    this.#queue.push(waiting);
    if (!this.#isAppending) {
      this.#isAppending = true;
      this.spawn(this.#drain());
    }
    yield* this.waitFor(waiting.done);
    if (waiting.failure !== null) throw waiting.failure;
    if (this.setting.isLogHonest) this.setting.truth.acknowledge(waiting.index, toHex(leafHash(this.p, bytes)));
    return waiting.index;
  }

  /** Logs a leaf whatever the rules say, as only a corrupt coordinator does. */
  protected *force(bytes: Uint8Array): Task {
    this.#forced.add(bytes);
    yield* this.append(bytes);
  }

  *#drain(): Task {
    while (this.#queue.length > 0) yield* this.#appendBatch(this.#queue.splice(0, 64));
    this.#isAppending = false;
  }

  *#appendBatch(batch: readonly Waiting[]): Task {
    const good: Waiting[] = [];
    const twins: Waiting[] = [];
    let isAnyAwaited = false;
    for (const waiting of batch) {
      const verdict = this.#judge(waiting.bytes);
      if (isRejection(verdict)) {
        waiting.failure = new CallFailed(verdict.rejected, verdict.why);
        waiting.done.open();
        continue;
      }
      waiting.index = verdict.index;
      isAnyAwaited ||= verdict.awaited;
      if (verdict.known && verdict.index < this.tree.size) waiting.done.open();
      else (verdict.known ? twins : good).push(waiting);
    }
    if (good.length === 0) return;
    yield* this.write(good.map(({ index, bytes }) => [entryKey(index), bytes]));
    for (const { bytes, done } of good) {
      this.#keep(bytes);
      done.open();
    }
    for (const { done } of twins) done.open();
    this.poke();
    if (isAnyAwaited) this.#cosigning.now();
    else this.#cosigning.soon();
  }

  #judge(bytes: Uint8Array): { index: number; known: boolean; awaited: boolean } | Rejection {
    const isForced = this.#forced.has(bytes);
    const again = isForced ? undefined : this.#indexOf.get(toHex(leafHash(this.p, bytes)));
    if (again !== undefined) return { index: again, known: true, awaited: false };
    if (isForced) {
      this.transcript = applyPatch(this.transcript, {});
      return { index: this.transcript.size - 1, known: false, awaited: true };
    }
    const signed = verifyNext(this.p, this.transcript, bytes);
    if (isRejection(signed)) return signed;
    const patch = judge(this.p, this.transcript, signed);
    if (isRejection(patch)) return patch;
    const isUpload = isKind(signed, 'upload') || isKind(signed, 'one-shot');
    if (isUpload && !this.#holds(signed.leaf.body.seen)) {
      return reject('SPLIT_VIEW', 'the head that the node has seen is not one of this log');
    }
    const index = this.transcript.size;
    this.#note(signed.hash, index);
    this.transcript = applyPatch(this.transcript, patch);
    this.say(`leaf ${index}: ${signed.leaf.kind} of ${signed.leaf.actor}`);
    return { index, known: false, awaited: isAwaited(this.transcript, signed) };
  }

  #holds(head: { readonly size: number; readonly root: string }): boolean {
    return head.size <= this.tree.size && toHex(this.tree.root(head.size)) === head.root;
  }

  protected *follow(from: number, shown: number): Task<Response<'follow'>> {
    const end = this.world.clock + FOLLOW_MS;
    for (;;) {
      const head = this.published;
      if (head !== null && head.size > shown && head.size >= from) {
        return { leaves: this.entries.slice(from, head.size), note: head.note };
      }
      if (this.world.clock >= end) return { leaves: [], note: null };
      const latch = new Latch();
      this.#followers.add(latch);
      const timer = this.world.schedule(end - this.world.clock, 'timer', () => latch.open());
      yield* this.waitFor(latch);
      timer.cancel();
      this.#followers.delete(latch);
    }
  }

  /** Mirrors `checkCarrier` of src/party/log-service.ts. */
  protected *appendFor(bytes: Uint8Array, peer: string): Task<number> {
    const leaf = decodeLeaf(bytes);
    if (isRejection(leaf)) throw new CallFailed(leaf.rejected, leaf.why);
    const isOwnAnswer = leaf.kind === 'answer' && leaf.actor === peer;
    const isCarried = STORED.has(leaf.kind) && !isOwnAnswer;
    if (isCarried ? !this.setting.founding.aggregators.includes(peer) : leaf.actor !== peer) {
      throw new CallFailed('WRONG_ROLE', 'another party than may bring it');
    }
    return yield* this.append(bytes);
  }

  /** Begins with another log's leaves, and with what was kept beside them. */
  take(leaves: readonly Uint8Array[], from: Disk): void {
    this.disk.put([...from.backup()].filter(([key]) => !key.startsWith('log/')));
    this.disk.put(leaves.map((bytes, i) => [entryKey(i), bytes]));
  }

  /** The log as it stands on the disk: for the judge at the end of a run. */
  get durable(): Uint8Array[] {
    return this.disk
      .keys('log/entry/')
      .sort()
      .map((key) => this.disk.get<Uint8Array>(key)!);
  }
}
