import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { toBase64 } from '../../crypto/encoding.ts';
import { renewCards } from '../../src/cli/renewal.ts';
import { foundLocally, type LocalFederation } from '../../src/demo/local-federation.ts';
import { drawReplacement, pendingReplacement, putInPlace, type Replacement } from '../../src/keys/replacement.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { loadTlsIdentity } from '../../src/tls/files.ts';
import { spkiPin } from '../../src/tls/identity.ts';
import { codeOf } from './parties.ts';

// What founders refuse to certify in the place of a party's TLS key, and what a cut leaves. Without the coordinator.

/** What a control leaves out: the module is replaced here. */
const without = vi.hoisted(() => ({ check: false }));
vi.mock('../../src/keys/replacement.ts', async (original) => {
  const real = await original<typeof import('../../src/keys/replacement.ts')>();
  const checkReplacement: typeof real.checkReplacement = async (...args) => {
    if (!without.check) await real.checkReplacement(...args);
  };
  return { ...real, checkReplacement };
});

const folder = mkdtempSync(join(tmpdir(), 'veilsum-tls-key-'));
let local: LocalFederation;
const founders = join(folder, 'founders');

beforeAll(async () => {
  const named = (name: string, role: 'coordinator' | 'aggregator' | 'member') => ({
    name,
    role,
    organisation: name,
    region: 'eu',
  });
  local = await foundLocally({
    folder,
    origin: 'lab.veilsum.example/log',
    parties: [
      named('coordinator', 'coordinator'),
      named('aggregator-1', 'aggregator'),
      ...['member-1', 'member-2', 'member-3'].map((name) => named(name, 'member')),
    ],
    threshold: 2,
    minimums: { cohort: 2, organisations: 2, honest: 2 },
    budget: { unit: 'record', rhoNano: 1_000_000_000, epsilonMicro: 100_000_000, deltaExponent: 5 },
  });
}, 30_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const asked = async (name: string): Promise<Replacement> =>
  JSON.parse(readFileSync(await drawReplacement(p, local.path(name), Date.now()), 'utf8'));
async function certified(given: Replacement): Promise<string> {
  const path = join(folder, 'given.json');
  writeFileSync(path, JSON.stringify(given));
  return codeOf(renewCards(founders, [path], folder, () => {}));
}
const pins = (): string => readFileSync(join(founders, 'federation.json'), 'utf8');

it.each([
  [
    "another party's card",
    'PIN_MISMATCH',
    (own, other) => ({ ...own, card: { ...other.card, name: own.card.name, organisation: own.card.organisation } }),
  ],
  ["another party's leaf", 'BAD_SIGNATURE', (own, other) => ({ ...own, leaf: other.leaf })],
  [
    'a request for another key',
    'PIN_MISMATCH',
    (own, other) => ({ ...own, card: { ...own.card, request: other.card.request } }),
  ],
  ['another role', 'BAD_SUBJECT', (own) => ({ ...own, card: { ...own.card, role: 'aggregator' } })],
  [
    'another organisation',
    'BAD_SUBJECT',
    (own, other) => ({ ...own, card: { ...own.card, organisation: other.card.organisation } }),
  ],
  ['a leaf that is no base64', 'MALFORMED', (own) => ({ ...own, leaf: `${own.leaf}=` })],
  ['a leaf that is none', 'MALFORMED', (own) => ({ ...own, leaf: toBase64(new Uint8Array(9)) })],
] satisfies [string, string, (own: Replacement, other: Replacement) => Replacement][])(
  'founders do not certify: %s',
  async (_what, code, forge) => {
    const [own, other] = [await asked('member-1'), await asked('member-2')];
    const before = pins();
    expect(await certified(forge(own, other))).toBe(code);
    expect(pins()).toBe(before);
  },
);

it('control: without that look, whoever has a card takes its place; with it, the honest request passes', async () => {
  const [own, other] = [await asked('member-1'), await asked('member-2')];
  const before = pins();
  without.check = true;
  expect(await certified({ ...own, leaf: other.leaf })).toBe('SUCCEEDED');
  without.check = false;
  writeFileSync(join(founders, 'federation.json'), before);
  expect(await certified(own)).toBe('SUCCEEDED');
  expect(pins()).toContain(own.card.tlsKeySha256);
  expect(await certified(own)).toBe('SUCCEEDED'); // given again after a cut
  const forged = { ...own.card, request: other.card.request };
  expect(await certified({ ...own, card: forged })).toBe('PIN_MISMATCH');
});

it('a key that was drawn stays until its certificate is there, and a cut between any two steps is mended', async () => {
  const own = await asked('member-3');
  expect(statSync(join(local.path('member-3'), 'tls', 'next.key')).mode & 0o077).toBe(0);
  expect(await asked('member-3')).toEqual(own);
  expect(await certified(own)).toBe('SUCCEEDED');
  const certificates = readFileSync(join(folder, 'member-3.crt'), 'utf8');
  const before = new Map(
    ['tls/tls.crt', 'card.json', 'tls-key.json'].map((file) => [
      file,
      readFileSync(join(local.path('member-3'), file)),
    ]),
  );
  putInPlace(local.path('member-3'), own, certificates);
  const whole = await loadTlsIdentity(join(local.path('member-3'), 'tls'));
  expect(spkiPin(whole.certificates)).toBe(own.card.tlsKeySha256);
  expect(await pendingReplacement(local.path('member-3'))).toBeNull();
  // Cut after each of its steps: what came later is as it was.
  const files = [...before];
  for (let cut = 0; cut < files.length; cut++) {
    for (const [file, bytes] of files.slice(cut)) writeFileSync(join(local.path('member-3'), file), bytes);
    const kept = (await pendingReplacement(local.path('member-3')))!;
    expect(kept).toEqual(own);
    putInPlace(local.path('member-3'), kept, certificates);
    expect(spkiPin((await loadTlsIdentity(join(local.path('member-3'), 'tls'))).certificates)).toBe(
      own.card.tlsKeySha256,
    );
    expect(existsSync(join(local.path('member-3'), 'tls-key.json'))).toBe(false);
  }
});

it('a request that was lost is made again for the key that was drawn, wherever it lies by then', async () => {
  const first = await asked('member-2');
  const request = join(local.path('member-2'), 'tls-key.json');
  rmSync(request);
  const again = await asked('member-2');
  expect(again.card.tlsKeySha256).toBe(first.card.tlsKeySha256);
  expect(await certified(again)).toBe('SUCCEEDED');
  // Cut while it was put in place: the key lies there, and the card names the old one.
  const tls = join(local.path('member-2'), 'tls');
  renameSync(join(tls, 'next.key'), join(tls, 'tls.key'));
  rmSync(request);
  expect((await asked('member-2')).card.tlsKeySha256).toBe(first.card.tlsKeySha256);
  putInPlace(local.path('member-2'), again, readFileSync(join(folder, 'member-2.crt'), 'utf8'));
  expect((await asked('member-2')).card.tlsKeySha256).not.toBe(first.card.tlsKeySha256); // control: it was one of its own
});

it('a second replacement takes another key', async () => {
  const again = await asked('member-3');
  expect(again.card.tlsKeySha256).not.toBe(
    spkiPin((await loadTlsIdentity(join(local.path('member-3'), 'tls'))).certificates),
  );
});
