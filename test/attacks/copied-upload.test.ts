import { beforeAll, describe, expect, it } from 'vitest';
import { utf8 } from '../../crypto/encoding.ts';
import { packBlock, unpackBlock } from '../../crypto/packing.ts';
import { type RoundParameters, ringShape } from '../../crypto/params.ts';
import type { PayloadContext } from '../../crypto/payload.ts';
import { systemRng } from '../../src/platform/rng.ts';
import { contextOf, kernelOf, parametersOf, valuesOf } from '../reference/engines.ts';
import { QuorumLab } from '../reference/quorum-lab.ts';

/**
 * Beyond the table: payloads are malleable, as every additively homomorphic ciphertext is. A node that sends a multiple or
 * a shift of another one's payload would bias the sum by what it does not know, or cancel the other out of it. It has to
 * share a key for it, and has none.
 */

const NODES = ['victim', 'honest', 'copier'];
let parameters: RoundParameters;
let context: PayloadContext;

beforeAll(async () => {
  parameters = parametersOf({ dimension: 300, members: 3, threshold: 2 });
  context = contextOf(parameters, await kernelOf(parameters));
});

/** The payload times a small factor, with a shift added to its first value. */
function mauled(payload: readonly Uint8Array[], factor: number, shift: number): Uint8Array[] {
  const shape = ringShape(parameters);
  const length = parameters.lastBlockCoefficients;
  const residues = unpackBlock(shape, payload[0]!, length).map((part, i) => {
    const q = shape.primes[i]!;
    const out = part.map((x) => Number((((BigInt(x) * BigInt(factor)) % BigInt(q)) + BigInt(q)) % BigInt(q)));
    out[0] = Number((BigInt(out[0]!) + BigInt(shift) * 2n ** BigInt(shape.logDelta)) % BigInt(q));
    return out;
  });
  return [packBlock(shape, residues, length)];
}

/** A round in which the copier's payload is made of the victim's. @param factor - also of the key, if it has the victim's. */
function round(factor: number, shift: number, knowsKey: boolean): Int32Array | null {
  const lab = new QuorumLab(context, systemRng);
  for (const node of NODES) lab.upload(node, valuesOf(node, 300, 10));
  const [victim, copier] = [lab.uploads.get('victim')!, lab.uploads.get('copier')!];
  lab.uploads.set('copier', {
    ...copier,
    payload: mauled(victim.payload, factor, shift),
    key: knowsKey ? victim.key.map((k) => factor * k) : copier.key,
  });
  const submissions = NODES.map((node) => lab.confirm(node, NODES, 'close'));
  return lab.open(lab.unmask(submissions, [0, 1, lab.recipient]), lab.sum(NODES));
}

describe('a copy of another node’s upload', () => {
  it.each([
    ['as it is', 1, 0],
    ['doubled', 2, 0],
    ['negated, to cancel it', -1, 0],
    ['shifted', 1, 5],
  ])('%s: no key that the copier can share fits, so nothing opens', (_, factor, shift) => {
    expect(round(factor, shift, false)).toBeNull();
    // Control: with the victim's key it would count, and say or cancel what only the victim knows.
    const [v, h] = ['victim', 'honest'].map((node) => valuesOf(node, 300, 10));
    const expected = v!.map((x, i) => x + h![i]! + factor * x + (i === 0 ? shift : 0));
    expect(round(factor, shift, true)).toEqual(expected);
  });

  it('with a copy of its confirmation: boxes are bound to their node, masks to both identities', () => {
    const lab = new QuorumLab(context, systemRng);
    for (const node of NODES) lab.upload(node, valuesOf(node, 300, 10));
    const victim = lab.confirm('victim', NODES, 'close');
    const copy = { ...victim, node: 'copier', context: { ...victim.context, node: utf8('copier') } };
    for (const holder of [0, 1, 2, lab.recipient]) {
      expect(lab.seedsFor(copy, holder)).toBeNull();
      expect(lab.seedsFor(victim, holder)).not.toBeNull(); // control
    }
    // Even where members took them: the same mask twice does not cancel.
    const honest = lab.confirm('honest', NODES, 'close');
    const sum = lab.sum(['victim', 'victim', 'honest']);
    expect(lab.open(lab.unmask([victim, { ...victim }, honest], [0, 1, lab.recipient]), sum)).toBeNull();
  });
});
