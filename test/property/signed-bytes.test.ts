import fc from 'fast-check';
import { expect, it } from 'vitest';
import { canonicalBytes, concat, fromUtf8, type Json } from '../../crypto/encoding.ts';
import { isRejection } from '../../protocols/errors.ts';
import { decodeLeaf, signedBytes } from '../../protocols/verified.ts';
import { PaperLog } from '../reference/paper-log.ts';

function expectLaw(bytes: Uint8Array): void {
  const leaf = decodeLeaf(bytes);
  if (isRejection(leaf)) throw new Error(leaf.rejected);
  const { sig: _, ...core } = JSON.parse(fromUtf8(bytes)) as { [key: string]: Json };
  expect(fromUtf8(concat(...signedBytes(leaf, bytes)))).toBe(fromUtf8(canonicalBytes(core)));
}

it('what is signed is the leaf without its signature, whatever the leaf holds', () => {
  const log = PaperLog.founded().until('release');
  for (const bytes of log.leaves) expectLaw(bytes);
  const leaf = JSON.parse(fromUtf8(log.leaf('root', 'revoke', { name: 'node-1', reason: 'x' })));
  const texts = fc.constantFrom('"sig":"', ',"time":1,"v":1}', 'lost', 'a:b/c');
  fc.assert(
    fc.property(fc.maxSafeNat(), texts, (time, reason) => {
      const bytes = canonicalBytes({ ...leaf, time, body: { name: 'node-1', reason } });
      if (isRejection(decodeLeaf(bytes)))
        expect(reason).toMatch(/"/); // no label holds a quote
      else expectLaw(bytes);
    }),
  );
});
