import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { fromUtf8 } from '../../crypto/encoding.ts';
import { LyingLog } from '../e2e/lying-log.ts';

let log: LyingLog;

beforeAll(async () => {
  log = await LyingLog.start();
}, 60_000);
afterAll(() => log[Symbol.asyncDispose](), 60_000);

describe('P3: a log that lies to a node, with every witness corrupt', () => {
  it('forked: refused by whoever saw the head before; one that saw nothing is fooled', async () => {
    const fork = await log.forked();
    const shownHead = log.noteOf(fork, log.witnesses);
    expect(await log.verdict(fork, shownHead, true)).toBe('SPLIT_VIEW');
    // Both heads, each with its signatures, are the evidence.
    const [earlier, later] = log.contradiction!;
    expect(earlier.split('\n').slice(0, 3)).toEqual(fromUtf8(log.published).split('\n').slice(0, 3));
    expect(earlier.match(/^— /gm)!.length).toBeGreaterThanOrEqual(5); // the log's line, and w of W cosignatures
    expect(later).toBe(fromUtf8(shownHead));
    const longer = [...fork, ...fork.slice(-1)];
    expect(await log.verdict(longer, log.noteOf(longer, log.witnesses), true)).toBe('SPLIT_VIEW');
    expect(await log.verdict(fork, log.noteOf(fork, log.witnesses), false)).toBe('TAKEN'); // control: the kept head is the check
  });

  it('rolled back: nothing is done until the log is as long as it was', async () => {
    const shorter = log.leaves.slice(0, -3);
    expect(await log.verdict(shorter, log.noteOf(shorter, log.witnesses), true)).toBe('WAITS');
  });

  it('with a leaf that may not stand there: refused, whoever cosigned it', async () => {
    const twice = [...log.leaves, log.leaves.at(-1)!];
    expect(await log.verdict(twice, log.noteOf(twice, log.witnesses), true)).toBe('REPLAYED');
    const garbage = [...log.leaves, new TextEncoder().encode('{}')];
    expect(await log.verdict(garbage, log.noteOf(garbage, log.witnesses), true)).toBe('MALFORMED');
  });

  it('a running node stops there, sends nothing, and keeps both heads in files', async () => {
    const fork = await log.forked();
    log.shown = { leaves: fork, note: log.noteOf(fork, log.witnesses) };
    await log.lab.run('us');
    const said = await vi.waitFor(() => {
      const event = log.lab.events.find((e) => e.party === 'us' && e.event === 'two heads contradict each other');
      expect(event).toBeDefined();
      return event!;
    }, 30_000);
    const kept = (name: string): string => readFileSync(join(said['evidence'] as string, name), 'utf8');
    expect(kept('offered')).toBe(fromUtf8(log.shown.note));
    expect(kept('held')).toBe(said['seen'] as string);
    await vi.waitFor(
      () => expect(log.lab.events.some((e) => e.party === 'us' && e.event === 'log refused')).toBe(true),
      30_000,
    );
  });
});
