import { describe, expect, it } from 'vitest';
import { corpusTargets, readCorpus } from './corpus.ts';
import { execute, fuzz, type Outcome } from './session.ts';
import { allTargets } from './targets.ts';

/** Mutations per target, fewer for slow ones; `npm run fuzz` goes on from there. */
const FRESH = 2000;

const targets = await allTargets();

/** A flaw in words; its input, in base64, to try again. */
function said(outcome: Outcome): string {
  if (typeof outcome === 'string') return outcome;
  return `${outcome.what}: ${outcome.message}: ${Buffer.from(outcome.input).toString('base64').slice(0, 4000)}`;
}

it('every folder of the corpus belongs to a target', () => {
  expect(corpusTargets().filter((name) => !targets.some((target) => target.name === name))).toEqual([]);
});

describe.each(targets.map((target) => [target.name, target] as const))('%s', (_name, target) => {
  it('takes what our own encoders write, and every input kept is accepted or refused by name', async () => {
    const seeds = await target.seeds();
    for (const seed of seeds) expect(said(await execute(target, seed))).toBe('accepted');
    for (const { name, bytes } of readCorpus(target.name)) {
      const outcome = said(await execute(target, bytes));
      expect([name, outcome]).toEqual([name, expect.stringMatching(/^(?:accepted|refused)$/)]);
    }
  });

  const wanted = FRESH / (target.slowdown ?? 1);
  it(`does what it must on ${wanted} inputs that nobody has seen`, async () => {
    const pool = [...(await target.seeds()), ...readCorpus(target.name).map(({ bytes }) => bytes)];
    const { tally, flaw } = await fuzz(target, { seed: 'test', pool, more: ({ executions }) => executions < wanted });
    expect(flaw === null ? null : said(flaw)).toBeNull();
    expect(tally.refused).toBeGreaterThan(0);
  });
});
