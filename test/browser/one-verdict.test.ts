import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { ed25519 } from '@noble/curves/ed25519.js';
import { build } from 'esbuild';
import { expect, it } from 'vitest';
import { fromHex, toHex } from '../../crypto/encoding.ts';
import { nodePrimitives } from '../../src/platform/primitives-node.ts';
import { hasChromium, launchChromium } from './chromium.ts';

/** Key, message, signature in hexadecimal. */
type Case = readonly [string, string, string];

interface Group {
  readonly publicKey: { readonly pk: string };
  readonly tests: readonly { readonly msg: string; readonly sig: string }[];
}

if (!hasChromium) console.log('test/browser/one-verdict: 1 test skipped, there is no /usr/bin/chromium');
const vectors = `${process.env['VEILSUM_VECTORS']}/crypto/ed25519_test.json.gz`;

function wycheproof(): Case[] {
  if (!existsSync(vectors)) {
    console.log('test/browser/one-verdict: 151 vectors left out (VEILSUM_VECTORS is not set)');
    return [];
  }
  const { testGroups } = JSON.parse(gunzipSync(readFileSync(vectors)).toString()) as { testGroups: Group[] };
  return testGroups.flatMap(({ publicKey, tests }) => tests.map(({ msg, sig }): Case => [publicKey.pk, msg, sig]));
}

/** Small-order and mixed-order points as keys and as R, with S = 0: where verifiers are known to disagree. */
function smallOrder(): Case[] {
  const eight = ed25519.Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05');
  const points = [ed25519.Point.ZERO];
  for (let i = 1; i < 8; i++) points.push(points[i - 1]!.add(eight));
  const mixed = points.slice(1).map((point) => point.add(ed25519.Point.BASE));
  const encodings = [...points, ...mixed].map((point) => point.toHex());
  // y = p and p + 1: 0 and 1 spelled differently.
  encodings.push(`ed${'ff'.repeat(30)}7f`, `ee${'ff'.repeat(30)}7f`, `ee${'ff'.repeat(31)}`);
  return encodings.flatMap((key) => encodings.map((r): Case => [key, '00', r + '00'.repeat(32)]));
}

/** Good signatures, and the same with one bit changed anywhere. */
function changed(): Case[] {
  const cases: Case[] = [];
  for (let i = 0; i < 16; i++) {
    const seed = new Uint8Array(32).fill(i + 1);
    const message = new Uint8Array(i).fill(i);
    const key = nodePrimitives.ed25519PublicKey(seed);
    const signature = nodePrimitives.ed25519Sign(seed, message);
    cases.push([toHex(key), toHex(message), toHex(signature)]);
    const forged = signature.with(4 * i, signature[4 * i]! ^ 1);
    const other = key.with(2 * i, key[2 * i]! ^ 1);
    cases.push([toHex(key), toHex(message), toHex(forged)], [toHex(other), toHex(message), toHex(signature)]);
  }
  return cases;
}

it.skipIf(!hasChromium)('Chromium and Node give one verdict on every Ed25519 signature (P23)', async () => {
  const root = resolve(import.meta.dirname, '..', '..');
  const contents = `
    import { fromHex } from './crypto/encoding.ts';
    import { noblePrimitives } from './crypto/primitives-noble.ts';
    window.verdicts = (cases) => cases.map((parts) => noblePrimitives.ed25519Verify(...parts.map((part) => fromHex(part))));`;
  const bundled = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    write: false,
    target: 'chrome120',
  });
  const cases = [...wycheproof(), ...smallOrder(), ...changed()];
  const verify = ([key, message, signature]: Case): boolean =>
    nodePrimitives.ed25519Verify(fromHex(key), fromHex(message), fromHex(signature));
  const wanted = cases.map(verify);
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    await page.addScriptTag({ content: bundled.outputFiles[0]!.text });
    const got = await page.evaluate(
      (all) => (window as unknown as { verdicts: (cases: readonly Case[]) => boolean[] }).verdicts(all),
      cases,
    );
    expect(got).toEqual(wanted);
  } finally {
    await browser.close();
  }
  expect(wanted.filter((verdict) => verdict).length).toBeGreaterThanOrEqual(16); // control: not everything is refused
  expect(smallOrder().map(verify)).not.toContain(true);
});
