import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CryptoError } from '../../crypto/errors.ts';
import { Coverage, Reached } from './coverage.ts';
import { mutateJsonText } from './mutate-json.ts';
import { seededChance } from './random.ts';
import { execute, fuzz } from './session.ts';
import { law, mutate, type Target } from './target.ts';

/** A decoder made for a test. */
function planted(run: Target['run'], seed = 'seed'): Target {
  const seeds = () => [new TextEncoder().encode(seed)];
  return { name: 'planted', reads: '', form: 'bytes', seeds, refusals: { CryptoError: ['BAD_ENCODING'] }, run };
}

const outcomeOf = async (run: Target['run']): Promise<string> => {
  const outcome = await execute(planted(run), new Uint8Array(8));
  return typeof outcome === 'string' ? outcome : outcome.what;
};

describe('a flaw is seen', () => {
  it('any error but the named ones, thrown or rejected', async () => {
    expect(await outcomeOf(() => true)).toBe('accepted');
    expect(await outcomeOf(() => false)).toBe('refused');
    const named = (): never => {
      throw new CryptoError('BAD_ENCODING', 'named');
    };
    expect(await outcomeOf(named)).toBe('refused');
    const otherCode = (): never => {
      throw new CryptoError('BAD_KEY', 'not listed');
    };
    expect(await outcomeOf(otherCode)).toBe('error');
    expect(await outcomeOf(() => (null as never as { field: boolean }).field)).toBe('error');
    expect(await outcomeOf(() => Promise.reject(new RangeError('later')))).toBe('error');
    expect(await outcomeOf(() => Promise.reject('no error at all'))).toBe('error');
  });

  it('a law that does not hold', async () => {
    const run = (): boolean => {
      law(false, 'decode after encode is identity');
      return true;
    };
    expect(await outcomeOf(run)).toBe('law');
  });

  it('a decoder that writes to its input', async () => {
    const run = (input: Uint8Array): boolean => {
      input[0] = 1;
      return true;
    };
    expect(await outcomeOf(run)).toBe('input changed');
  });

  it('an input that costs too much time', async () => {
    const run = (): boolean => {
      let x = 1;
      for (let i = 0; i < 1.2e8; i++) x = (x * 3) | 0;
      return x === 0;
    };
    expect(await outcomeOf(run)).toBe('time');
  });

  it('memory that a few bytes ask for', async () => {
    const kept: Uint8Array[] = [];
    const run = (): boolean => kept.push(new Uint8Array(20 << 20)) > 0;
    const target = planted(run);
    const { flaw } = await fuzz(target, {
      seed: '1',
      pool: await target.seeds(),
      more: ({ executions }) => executions < 32,
    });
    expect(flaw?.what).toBe('memory');
  });
});

describe('coverage', () => {
  /** Three bytes in a row that nobody says: each is a block deeper. */
  const maze = (input: Uint8Array): boolean => {
    if (input[0] === 0x70) {
      if (input[1] === 0xe3) {
        if (input[2] === 0xb5) throw new TypeError('the end of the maze');
      }
    }
    return false;
  };
  const MOST = 200_000;

  it('finds in steps what chance alone does not', async () => {
    const target = planted(maze);
    const options = { seed: '1', pool: await target.seeds(), more: (t: { executions: number }) => t.executions < MOST };
    using coverage = new Coverage([resolve(import.meta.dirname)]);
    const guided = await fuzz(target, { ...options, guide: { coverage, reached: new Reached() } });
    expect(guided.flaw?.message ?? `${guided.tally.executions} executions`).toContain('the end of the maze');
    const blind = await fuzz(target, options);
    expect(blind.flaw).toBeNull();
  });
});

describe('mutations', () => {
  it('are the same for the same seed, and others for another one', () => {
    const target = planted(() => true);
    const input = new TextEncoder().encode('some input of a decoder');
    const series = (seed: string): string => {
      const chance = seededChance(seed);
      return Array.from({ length: 50 }, () => Buffer.from(mutate(target, chance, input, input)).toString('hex')).join();
    };
    expect(series('a')).toBe(series('a'));
    expect(series('a')).not.toBe(series('b'));
  });

  it('keep JSON mostly JSON, and reach names twice, __proto__ and other spellings', () => {
    const chance = seededChance('json');
    const texts = Array.from({ length: 3000 }, () => mutateJsonText(chance, '{"a":[1,2,{"b":"text"}],"c":null}') ?? '');
    const parses = texts.filter((text) => {
      try {
        JSON.parse(text);
        return true;
      } catch {
        return false;
      }
    });
    expect(parses.length).toBeGreaterThan(2000);
    expect(texts.some((text) => text.includes('"__proto__":'))).toBe(true);
    expect(texts.some((text) => /"a":.*"a":/.test(text))).toBe(true);
    expect(texts.some((text) => text.includes('1.0'))).toBe(true);
  });
});
