import { ristretto255 } from '@noble/curves/ed25519.js';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { addEvaluations, evaluateBlinded, holderPublicKey } from '../../crypto/oprf.ts';
import { SecretBytes } from '../../crypto/secret.ts';
import { type HolderLink, type Join, joinKeys } from '../../src/matching/join.ts';
import { makeKeySet } from '../../src/matching/key-set.ts';
import { nodePrimitives as p } from '../../src/platform/primitives-node.ts';
import { systemRng } from '../../src/platform/rng.ts';
import type { Transaction } from '../../src/store/port.ts';
import { SqliteStore } from '../../src/store/sqlite-store.ts';
import { codeOf } from '../protocol/parties.ts';
import { LOG, MatchingLab, Site } from '../reference/matching-lab.ts';

// Names are few: whoever can evaluate freely tries them all. What keeps it from that, and what it looks like without.

const weakened = vi.hoisted(() => ({ proofs: false }));
vi.mock('../../crypto/oprf.ts', async (importOriginal) => {
  const original = await importOriginal<typeof import('../../crypto/oprf.ts')>();
  const isRightEvaluation: typeof original.isRightEvaluation = (...args) =>
    weakened.proofs || original.isRightEvaluation(...args);
  return { ...original, isRightEvaluation };
});
afterEach(() => {
  weakened.proofs = false;
  vi.restoreAllMocks();
});

const { Point } = ristretto255;
const LIST = ['Acme', 'Initech', 'Globex', 'Umbrella', 'Hooli'];
/** What an attacker guesses from: public company registers hold every name there is. */
const REGISTER = ['Soylent', 'Hooli', 'Vandelay', 'Acme', 'Wonka'];

async function lab(budget: number) {
  const made = await MatchingLab.start(budget);
  const setting: Join = { keySet: await made.keySet(), kind: 'name', purpose: 'attack' };
  return { made, setting };
}

describe('a dictionary attack on join keys', () => {
  it('fails without one of the holders, also for all the others together', async () => {
    const { made, setting } = await lab(1000);
    const victim = new Set((await new Site('victim').join(made, setting, LIST)).values());
    // Two corrupt holders, who evaluate whatever they like, and a guess at the third one's key.
    const corrupt = made.links('corrupt', ['member-1', 'member-2']);
    const [, , third] = setting.keySet.holders;
    const guess: HolderLink = {
      name: third!.name,
      evaluate: async (_key, blinded) => evaluateBlinded(new SecretBytes('guess', systemRng(32)), blinded, systemRng),
    };
    const attacker = new Site('corrupt');
    expect(await codeOf(attacker.join(made, setting, REGISTER, corrupt))).toBe('TOO_FEW_HOLDERS');
    weakened.proofs = true; // they check no proof of their own
    const keys = await attacker.join(made, setting, REGISTER, [...corrupt, guess]);
    expect([...keys.values()].filter((key) => victim.has(key))).toEqual([]);
    // Control: with the third holder it works, name by name.
    weakened.proofs = false;
    const all = await attacker.join(made, setting, REGISTER);
    expect([...all].filter(([, key]) => victim.has(key)).map(([name]) => name)).toEqual(['Hooli', 'Acme']);
    await made[Symbol.asyncDispose]();
  });

  it("control: a key with a single holder would be that holder's to try names with, and is refused", async () => {
    const seed = new SecretBytes('holder', systemRng(32));
    const publicKey = Buffer.from(holderPublicKey(seed)).toString('hex');
    const keySet = { version: 1 as const, log: LOG, holders: [{ name: 'member-1', publicKey, signature: '' }] };
    const alone: HolderLink = {
      name: 'member-1',
      evaluate: async (_key, blinded) => evaluateBlinded(seed, blinded, systemRng),
    };
    const setting: Join = { keySet, kind: 'name', purpose: 'attack' };
    const run = (names: string[]) => joinKeys(p, setting, [alone], new SecretBytes('b', systemRng(32)), names);
    const victim = new Set((await run(['acme', 'initech'])).values());
    const tried = await run(['soylent', 'acme']);
    expect([...tried].filter(([, key]) => victim.has(key)).map(([name]) => name)).toEqual(['acme']);
    const made = await MatchingLab.start(10, ['member-1', 'member-2']);
    const stated = await made.stated('member-1');
    expect(await codeOf((async () => makeKeySet(p, made.genesis, LOG, [stated]))())).toBe('TOO_FEW_HOLDERS');
    await made[Symbol.asyncDispose]();
  });

  it('ends at the budget of the organisation, whichever of its nodes asks, also after a restart', async () => {
    const { made, setting } = await lab(4);
    const [one, two] = [new Site('evil'), new Site('evil')];
    await one.join(made, setting, REGISTER.slice(0, 3));
    expect(await codeOf(two.join(made, setting, REGISTER.slice(3)))).toBe('BUDGET_SPENT');
    await two.join(made, setting, REGISTER.slice(3, 4)); // the fourth: within the budget
    for (const name of made.names) await made.restart(name, 4);
    expect(await codeOf(one.join(made, setting, ['Fifth']))).toBe('BUDGET_SPENT');
    expect(await codeOf(new Site('other').join(made, setting, ['Fifth']))).toBe('SUCCEEDED'); // its own budget
    // Control: a store that forgets what was counted lets all guesses through, one after the other.
    const forgetful = { get: async () => undefined, put: async () => {}, insert: async () => {} };
    vi.spyOn(SqliteStore.prototype, 'transact').mockImplementation((step) => step(forgetful as unknown as Transaction));
    const found = [];
    for (const name of REGISTER) found.push(...(await one.join(made, setting, [name])).keys());
    expect(found).toEqual(REGISTER);
    vi.restoreAllMocks();
    await made[Symbol.asyncDispose]();
  });

  it('is not helped by asking again, by sums of answers, or by elements of somebody else', async () => {
    const { made, setting } = await lab(2);
    const site = new Site('evil');
    const seen: Uint8Array[] = [];
    const watching = made.links('evil').map((link) => ({
      ...link,
      evaluate: (key: Uint8Array, blinded: readonly Uint8Array[]) => {
        if (link.name === 'member-1') seen.push(...blinded);
        return link.evaluate(key, blinded);
      },
    }));
    const first = await site.join(made, setting, ['Acme', 'Hooli'], watching);
    // A replay costs nothing and gives nothing new.
    for (let i = 0; i < 3; i++) expect(await site.join(made, setting, ['Acme', 'Hooli'])).toEqual(first);
    const key = Buffer.from(setting.keySet.holders[0]!.publicKey, 'hex');
    const holder = made.holders.get('member-1')!;
    expect((await holder.evaluate('evil', key, seen)).spent).toBe(2);
    // Twice in one call is counted once, and does not hide a third name.
    expect((await holder.evaluate('evil', key, [seen[0]!, seen[0]!])).spent).toBe(2);
    expect(await codeOf(site.join(made, setting, ['Acme', 'Third']))).toBe('BUDGET_SPENT');
    // The function is linear in its elements: their sum is a new one, and would be charged.
    const [sum] = addEvaluations([[seen[0]!], [seen[1]!]]);
    expect(await codeOf(holder.evaluate('evil', key, [sum!]))).toBe('BUDGET_SPENT');
    // Elements that another organisation asked for are charged to who replays them.
    const thief = await holder.evaluate('thief', key, seen);
    expect(thief.spent).toBe(2);
    await made[Symbol.asyncDispose]();
  });

  it('a refused batch is counted nowhere at that holder', async () => {
    const { made, setting } = await lab(4);
    const site = new Site('large');
    expect(await codeOf(site.join(made, setting, REGISTER))).toBe('BUDGET_SPENT');
    expect(await codeOf(site.join(made, setting, REGISTER.slice(0, 4)))).toBe('SUCCEEDED');
    await made[Symbol.asyncDispose]();
  });
});

describe('a holder that lies', () => {
  const swapped = (link: HolderLink): HolderLink => ({
    ...link,
    evaluate: async (_key, blinded) => evaluateBlinded(new SecretBytes('another', systemRng(32)), blinded, systemRng),
  });

  it('is named, and no key is made of its answer', async () => {
    const { made, setting } = await lab(1000);
    const links = made.links('site').map((link) => (link.name === 'member-2' ? swapped(link) : link));
    const refused = new Site('site').join(made, setting, LIST, links);
    await expect(refused).rejects.toThrow(/^member-2 answered with another key/);
    expect(await codeOf(refused)).toBe('WRONG_EVALUATION');
    expect(await codeOf(new Site('site').join(made, setting, LIST))).toBe('SUCCEEDED'); // control: without the lie
    await made[Symbol.asyncDispose]();
  });

  it('control: without the proof it would silently separate one site from the others', async () => {
    const { made, setting } = await lab(1000);
    const honest = await new Site('honest').join(made, setting, LIST);
    weakened.proofs = true;
    const links = made.links('site').map((link) => (link.name === 'member-2' ? swapped(link) : link));
    const fooled = await new Site('site').join(made, setting, LIST, links);
    expect([...fooled.values()].filter((key) => [...honest.values()].includes(key))).toEqual([]);
    await made[Symbol.asyncDispose]();
  });

  it('that chose its key last, to cancel the others, cannot evaluate with it', async () => {
    const { made, setting } = await lab(1000);
    // x G less the others' keys: the sum of all keys is then x, which it knows. It does not know its own.
    const x = 0x1234_5678_9abc_def1n;
    const others = setting.keySet.holders.slice(0, 2).map(({ publicKey }) => Point.fromHex(publicKey));
    const rogue = others.reduce((left, key) => left.subtract(key), Point.BASE.multiply(x)).toBytes();
    const stated = await Promise.all([
      made.stated('member-1'),
      made.stated('member-2'),
      made.stated('member-3', rogue),
    ]);
    const poisoned: Join = { ...setting, keySet: makeKeySet(p, made.genesis, LOG, stated) };
    const times = (element: Uint8Array, scalar: bigint) => Point.fromBytes(element).multiply(scalar);
    // Its answer: x B less what the others answer, whom it asks through a node that it is in league with.
    const answering: HolderLink = {
      name: 'member-3',
      evaluate: async (_key, blinded) => {
        const asked = await Promise.all(
          made
            .links('league')
            .slice(0, 2)
            .map((link, i) => link.evaluate(others[i]!.toBytes(), blinded)),
        );
        const elements = blinded.map((element, i) =>
          asked.reduce((left, a) => left.subtract(Point.fromBytes(a.elements[i]!)), times(element, x)).toBytes(),
        );
        return { elements, proof: asked[0]!.proof };
      },
    };
    const join = () => new Site('victim').join(made, poisoned, LIST, [...made.links('victim').slice(0, 2), answering]);
    await expect(join()).rejects.toThrow(/^member-3 answered with another key/);
    // Control: without the proof the victim's keys would be a function that this holder alone can compute.
    weakened.proofs = true;
    const victim = new Set((await join()).values());
    const alone = [1n, 2n, x - 3n].map((share, i): HolderLink => {
      const evaluate: HolderLink['evaluate'] = async (_key, blinded) => ({
        elements: blinded.map((element) => times(element, share).toBytes()),
        proof: new Uint8Array(64),
      });
      return { name: `member-${i + 1}`, evaluate };
    });
    const tried = await new Site('league').join(made, poisoned, REGISTER, alone);
    expect([...tried].filter(([, key]) => victim.has(key)).map(([name]) => name)).toEqual(['Hooli', 'Acme']);
    await made[Symbol.asyncDispose]();
  });

  it("cannot answer a batch in another order, or with another batch's answer", async () => {
    const { made, setting } = await lab(1000);
    const lying = (change: (elements: readonly Uint8Array[]) => readonly Uint8Array[]) =>
      made.links('site').map((link) => ({
        ...link,
        evaluate: async (key: Uint8Array, blinded: readonly Uint8Array[]) => {
          const answer = await link.evaluate(key, blinded);
          return link.name === 'member-3' ? { ...answer, elements: change(answer.elements) } : answer;
        },
      }));
    const code = (change: Parameters<typeof lying>[0]) =>
      codeOf(new Site('site').join(made, setting, LIST, lying(change)));
    expect(await code((elements) => elements)).toBe('SUCCEEDED'); // control
    expect(await code((elements) => elements.toReversed())).toBe('WRONG_EVALUATION');
    expect(await code((elements) => elements.slice(1))).toBe('WRONG_EVALUATION');
    expect(await code((elements) => elements.map(() => elements[0]!))).toBe('WRONG_EVALUATION');
    await made[Symbol.asyncDispose]();
  });
});

describe('what holders see', () => {
  it('holds no name, and nothing that is equal for two sites with equal names', async () => {
    const { made, setting } = await lab(1000);
    const sent: Buffer[] = [];
    const tapped = (organisation: string) =>
      made.links(organisation).map((link) => ({
        ...link,
        evaluate: (key: Uint8Array, blinded: readonly Uint8Array[]) => {
          sent.push(...blinded.map((element) => Buffer.from(element)));
          return link.evaluate(key, blinded);
        },
      }));
    await new Site('one').join(made, setting, LIST, tapped('one'));
    const ofOne = new Set(sent.splice(0).map((element) => element.toString('hex')));
    await new Site('two').join(made, setting, LIST, tapped('two'));
    expect(ofOne.size).toBe(5);
    expect(sent.filter((element) => ofOne.has(element.toString('hex')))).toEqual([]);
    const all = Buffer.concat(sent).toString('latin1').toLowerCase();
    for (const name of LIST) expect(all).not.toContain(name.toLowerCase());
    await made[Symbol.asyncDispose]();
  });
});
