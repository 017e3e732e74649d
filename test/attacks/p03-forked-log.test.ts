import { afterEach, describe, expect, it, vi } from 'vitest';
import { consistencyProof } from '../../crypto/merkle.ts';
import type { Policy } from '../../crypto/policy.ts';
import { audit } from '../../protocols/audit.ts';
import { isRejection, type Rejection } from '../../protocols/errors.ts';
import { policyOf } from '../../protocols/log-policy.ts';
import { advance, newReader, type Reader } from '../../protocols/reader.ts';
import { checkHead, newWitness, type WitnessState } from '../../protocols/witness.ts';
import { filesOf, PaperLog, p } from '../reference/paper-log.ts';

/** Controls: trees are never compared; heads need no cosignatures. */
const weak = vi.hoisted(() => ({ consistency: false, roots: false }));
vi.mock('../../crypto/merkle.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/merkle.ts')>();
  const verifyConsistency: typeof original.verifyConsistency = (...args) =>
    weak.consistency || original.verifyConsistency(...args);
  return { ...original, verifyConsistency };
});
vi.mock('../../crypto/encoding.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/encoding.ts')>();
  const bytesEqual: typeof original.bytesEqual = (a, b) => weak.roots || original.bytesEqual(a, b);
  return { ...original, bytesEqual };
});

afterEach(() => {
  weak.consistency = false;
  weak.roots = false;
});

/** One history up to the uploads, and two that follow from it: another node was last. */
function forks(): { trunk: PaperLog; one: PaperLog; two: PaperLog; policy: Policy } {
  const upTo = (last: string): PaperLog => {
    const log = PaperLog.founded();
    log.open(log.announced(1));
    for (const node of ['node-1', 'node-2', last]) log.post(node, 'upload', log.upload(node));
    return log;
  };
  const trunk = PaperLog.founded();
  trunk.open(trunk.announced(1));
  const one = upTo('node-3');
  return { trunk, one, two: upTo('node-4'), policy: policyOf(p, one.genesis()) };
}

function ask(policy: Policy, state: WitnessState, log: PaperLog): WitnessState | Rejection {
  const proof = consistencyProof(p, log.tree().read, state.size, log.leaves.length);
  return checkHead(p, policy, state, { oldSize: state.size, proof, note: log.head() });
}

function ok<T>(value: T | Rejection): T {
  if (isRejection(value)) throw new Error(`${value.rejected}: ${value.why}`);
  return value;
}

const codeOf = (value: unknown): string => (isRejection(value) ? value.rejected : 'taken');

describe('P3: no split view, no rollback', () => {
  it('a witness cosigns one fork: the other, of equal or greater size, and an older head are refused', () => {
    const { trunk, one, two, policy } = forks();
    const start = ok(ask(policy, newWitness(p), trunk));
    const after = ok(ask(policy, start, one));
    expect(codeOf(ask(policy, start, two))).toBe('taken'); // control: it is the head cosigned before that decides
    expect(codeOf(ask(policy, after, two))).toBe('SPLIT_VIEW');
    two.post('node-3', 'upload', two.upload('node-3'));
    expect(codeOf(ask(policy, after, two))).toBe('SPLIT_VIEW');
    const older = { oldSize: after.size, proof: [], note: trunk.head() };
    expect(codeOf(checkHead(p, policy, after, older))).toBe('ROLLED_BACK');
    weak.consistency = true;
    expect(codeOf(ask(policy, after, two))).toBe('taken'); // control
  });

  it('a node or member that read one fork refuses the other one, every cosignature notwithstanding', () => {
    const { trunk, one, two, policy } = forks();
    const read = (reader: Reader, log: PaperLog) =>
      advance(p, reader, log.leaves.slice(reader.transcript.size), log.head());
    const after = ok(read(ok(read(newReader(p, policy), trunk)), one));
    two.post('node-3', 'upload', two.upload('node-3'));
    expect(codeOf(advance(p, after, two.leaves.slice(after.transcript.size), two.head()))).toBe('SPLIT_VIEW');
    expect(codeOf(advance(p, after, [], trunk.head()))).toBe('ROLLED_BACK');
    one.post('node-4', 'upload', one.upload('node-4'));
    expect(codeOf(read(after, one))).toBe('taken'); // control: the fork that it follows
    const other = ok(read(ok(read(newReader(p, policy), forks().trunk)), forks().one));
    weak.roots = true;
    const replaced = advance(p, other, two.leaves.slice(other.transcript.size), two.head());
    expect(codeOf(replaced)).not.toBe('SPLIT_VIEW'); // control: without the comparison the root says nothing
  });

  it('an auditor with a head of its own finds the fork, the older folder and the cut tail, and has both heads', () => {
    const { trunk, one, two } = forks();
    const look = (log: PaperLog, since: PaperLog | null, leaves = log.leaves) => {
      const files = filesOf(leaves);
      const policyFile = one.policyFile;
      const checkpoint = log.head();
      const readFile = (path: string) => files.get(path);
      const input = { policyFile, checkpoint, readFile, genesisPin: null, since: since?.head() ?? null };
      return audit(p, input).findings.map(({ code }) => code);
    };
    expect(look(one, trunk)).toEqual([]); // control
    expect(look(two, one)).toContain('SPLIT_VIEW');
    expect(look(trunk, one)).toContain('ROLLED_BACK');
    expect(look(one, null, one.leaves.slice(0, -1)).length).toBeGreaterThan(0);
    expect(look(two, null)).toEqual([]); // control: who has no head of its own cannot tell two consistent forks apart
  });
});
