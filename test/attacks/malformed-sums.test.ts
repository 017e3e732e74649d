import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { RingEngine } from '../../crypto/engine.ts';
import { MemoryFederation } from '../../src/simulate/memory-federation.ts';
import { memorySetting, smallEngine } from '../reference/memory-round.ts';

// Coordinator and aggregator together log hashes of whatever bytes they like: every one of them must end the round.

const lie = vi.hoisted(() => ({
  corrections: (bytes: Uint8Array): Uint8Array => bytes,
  /** The control: nothing reads the sum before it is opened. */
  isUnread: false,
}));
vi.mock('../../protocols/aggregator.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../protocols/aggregator.ts')>();
  const addCorrections: typeof original.addCorrections = (...args) => lie.corrections(original.addCorrections(...args));
  return { ...original, addCorrections };
});
vi.mock('../../crypto/checksum.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/checksum.ts')>();
  const createChecksum: typeof original.createChecksum = (context, closeHash) => {
    const checksum = original.createChecksum(context, closeHash);
    const zeros = new Uint32Array(6 * context.parameters.primes.length);
    return lie.isUnread ? { ...checksum, add: () => {}, value: () => zeros } : checksum;
  };
  return { ...original, createChecksum };
});

let engine: RingEngine;

beforeAll(async () => {
  engine = await smallEngine();
});

interface Told {
  readonly sum?: (bytes: Uint8Array) => Uint8Array;
  readonly corrections?: (bytes: Uint8Array) => Uint8Array;
  readonly answer?: (bytes: Uint8Array) => Uint8Array;
  readonly isUnread?: boolean;
}

function roundWith(told: Told) {
  lie.corrections = told.corrections ?? ((bytes) => bytes);
  lie.isUnread = told.isUnread ?? false;
  const federation = new MemoryFederation(memorySetting(engine, { nodes: 3 }));
  federation.tamper = (what, _party, value) => {
    const change = what === 'sum' ? told.sum : what === 'answer' ? told.answer : undefined;
    return change === undefined ? value : (change(value as Uint8Array) as typeof value);
  };
  const updates = new Map(federation.nodeNames.map((name) => [name, new Int32Array(300).fill(7)]));
  const round = federation.runRound(1, updates);
  return { reason: round.phase === 'aborted' ? round.reason : round.phase, federation };
}

const changes: Record<string, (bytes: Uint8Array) => Uint8Array> = {
  'a byte short': (bytes) => bytes.slice(0, -1),
  'a byte long': (bytes) => Uint8Array.from([...bytes, 0]),
  empty: () => new Uint8Array(0),
  'twice as long': (bytes) => Uint8Array.from([...bytes, ...bytes]),
};

/** All ones are above every prime. */
const tooLarge = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes).fill(0xff, 0, 8);

describe('a sum that was decided over', () => {
  it.each(['a byte short', 'empty'])('%s ends the round by name', (how) => {
    expect(roundWith({ sum: changes[how]! }).reason).toBe('SUM_MALFORMED');
  });

  it('with a residue that is not below its prime ends the round by name', () => {
    const { reason, federation } = roundWith({ sum: tooLarge });
    expect(reason).toBe('SUM_MALFORMED');
    expect(federation.refusals.map(({ rejected }) => rejected)).toEqual(['SUM_MALFORMED']);
    expect(federation.openings.size).toBe(0);
  });

  it('control: where nothing reads the sum before, the opening throws and the round has no end', () => {
    expect(() => roundWith({ sum: tooLarge, isUnread: true })).toThrow(
      expect.objectContaining({ code: 'RESIDUE_OUT_OF_RANGE' }),
    );
  });
});

describe('a sum of corrections', () => {
  it.each(Object.keys(changes))('%s ends the round by name', (how) => {
    expect(roundWith({ corrections: changes[how]! }).reason).toBe('SUM_MALFORMED');
  });

  it('of the right form that is another one ends it by name too', () => {
    expect(roundWith({ corrections: (bytes) => Uint8Array.from(bytes, (byte) => byte ^ 1) }).reason).toBe(
      'KEY_DOES_NOT_FIT',
    );
  });
});

describe('answers', () => {
  it.each(Object.keys(changes))('%s end the round by name', (how) => {
    expect(roundWith({ answer: changes[how]! }).reason).toBe('TOO_FEW_ANSWERS');
  });
});
