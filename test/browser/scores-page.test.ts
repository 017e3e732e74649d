import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RunningScores } from '../../src/scoring/serve.ts';
import { removeSeller } from '../../src/scoring/tokens.ts';
import { ScoreLab } from '../protocol/score-lab.ts';
import { hasChromium, launchChromium } from './chromium.ts';

if (!hasChromium) console.log('test/browser/scores-page: all tests skipped, there is no /usr/bin/chromium');

let lab: ScoreLab;
let server: RunningScores;
let anna: string;
let browser: Browser;
let page: Page;
let requests: string[] = [];
let complaints: string[] = [];

describe.skipIf(!hasChromium)('the sellers’ page, in Chromium', () => {
  beforeAll(async () => {
    lab = await ScoreLab.make();
    anna = lab.token('anna', ['emea', 'latam']);
    server = await lab.serve();
    browser = await launchChromium();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
    lab?.[Symbol.dispose]();
  });
  beforeEach(async () => {
    await page?.close();
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    requests = [];
    complaints = [];
    page.on('request', (request) => requests.push(request.url()));
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    await page.goto(server.address);
  });

  /** @param shows - what is there afterwards and was not before. */
  async function signIn(token = anna, shows = '#organisations li'): Promise<void> {
    await page.fill('#token', token);
    await page.press('#token', 'Enter');
    await page.waitForSelector(shows);
  }
  /** Waits until the server answers a token so: it looks at its file once a second. */
  const answers = (token: string, status: number): Promise<void> => {
    const headers = { authorization: `Bearer ${token}` };
    const ask = async () => (await fetch(`${server.address}/api/v1/about`, { headers })).status;
    return expect.poll(ask, { timeout: 20_000 }).toBe(status);
  };
  const names = (): Promise<string[]> => page.locator('#organisations .who a').allTextContents();
  const mine = () => lab.scores.organisations.filter(({ territory }) => ['emea', 'latam'].includes(territory));

  it('lets in with a token alone, says why not, and forgets all when one signs out', async () => {
    await signIn('vss_wrong', '#sign-in-fault:not(:empty)');
    expect(await page.textContent('#sign-in-fault')).toContain('not valid');
    expect(await page.isVisible('#ranking-view')).toBe(false);
    await signIn();
    expect(await page.textContent('#seller')).toBe('anna');
    await page.reload();
    await page.waitForSelector('#organisations li');
    await page.click('#leave');
    expect(await page.isVisible('#sign-in')).toBe(true);
    expect(await page.locator('#organisations li').count()).toBe(0);
    expect(await page.evaluate(() => [sessionStorage.length, localStorage.length, document.cookie])).toEqual([
      0,
      0,
      '',
    ]);
    expect(complaints.filter((text) => !text.includes('401'))).toEqual([]);
  });

  it('shows the ranking, page by page, by territory and by search', async () => {
    await signIn();
    expect(await page.textContent('h1:visible')).toBe('Chance of being a hot lead');
    const expected = mine().map(({ name }) => name);
    expect(await names()).toEqual(expected.slice(0, 25));
    await page.click('#next');
    await page.waitForFunction(() => document.getElementById('page-number')?.textContent?.startsWith('Page 2'));
    expect(await names()).toEqual(expected.slice(25, 50));
    await page.selectOption('#territory', 'latam');
    await page.waitForFunction(() => document.getElementById('matches')?.textContent?.includes('match'));
    const latam = mine().filter(({ territory }) => territory === 'latam');
    expect(await names()).toEqual(latam.slice(0, 25).map(({ name }) => name));
    await page.selectOption('#territory', '');
    await page.fill('#search', mine()[7]!.id);
    await page.waitForFunction(() => document.getElementById('matches')?.textContent === '1 organisation matches.');
    expect(await names()).toEqual([expected[7]]);
    // Of another territory nothing is found.
    const foreign = lab.scores.organisations.find(({ territory }) => territory === 'amer')!;
    await page.fill('#search', foreign.id);
    await page.waitForFunction(() => document.getElementById('matches')?.textContent?.startsWith('0 '));
    expect(await page.isVisible('#pager')).toBe(false);
  });

  it('tells why, from a click, from the keyboard and from an address', async () => {
    await signIn();
    const [first, second] = mine();
    await page.click('#organisations > li:nth-child(2)');
    await page.waitForSelector('#detail h2');
    expect(await page.textContent('#detail h2')).toBe(second!.name);
    expect(await page.evaluate(() => document.activeElement?.id)).toBe('detail');
    await page.focus('#organisations > li:nth-child(1) a');
    await page.keyboard.press('Enter');
    await page.waitForFunction((name) => document.querySelector('#detail h2')?.textContent === name, first!.name);
    const emails = lab.table.columns.get('email_count_30d')![first!.row]!;
    const evidence = lab.scores.evidence(first!);
    const rows = await page.locator('#detail tbody tr').allTextContents();
    expect(rows.length).toBe(evidence.signals.filter(({ contribution }) => Math.abs(contribution) >= 0.005).length);
    expect(rows.some((text) => text.startsWith(`${emails} e-mails in 30 days`))).toBe(true);
    expect(await page.textContent('#detail')).toContain(`Against ${evidence.reference}`);
    expect(await page.locator('#organisations a[aria-current]').allTextContents()).toEqual([first!.name]);
    await page.goto(`${server.address}/#/organisation/${second!.id}`);
    await page.waitForFunction((name) => document.querySelector('#detail h2')?.textContent === name, second!.name);
    const foreign = lab.scores.organisations.find(({ territory }) => territory === 'amer')!;
    await page.goto(`${server.address}/#/organisation/${foreign.id}`);
    await page.waitForSelector('#fault:not([hidden])');
    expect(await page.textContent('#fault')).toContain('no such organisation in your territories');
    expect(await page.isVisible('#detail')).toBe(false);
  });

  it('shows summaries of groups that may be shown', async () => {
    await signIn();
    await page.click('#to-summaries');
    await page.waitForSelector('#summary table');
    await page.click('#dimensions button[data-by=industry]');
    await page.waitForSelector('caption:has-text("by industry")');
    const counts = await page.locator('#summary tbody td.n').allTextContents();
    expect(counts.length).toBeGreaterThan(0);
    for (const count of counts) expect(Number(count.replaceAll(',', ''))).toBeGreaterThanOrEqual(10);
    expect(await page.getAttribute('#dimensions button[data-by=industry]', 'aria-pressed')).toBe('true');
    expect(await page.textContent('#summaries-about')).toContain('fewer than 10');
  });

  it('ends the session of a token that was taken back', async () => {
    const token = lab.token('carl', ['emea']);
    await answers(token, 200);
    await signIn(token);
    removeSeller(lab.tokensFile, 'carl');
    await answers(token, 401);
    await page.click('#next');
    await page.waitForSelector('#sign-in-fault:not(:empty)');
    expect(await page.locator('#organisations li').count()).toBe(0);
  });

  it('asks its own server alone, and its policy forbids more', async () => {
    await signIn();
    await page.click('#organisations > li:nth-child(1)');
    await page.waitForSelector('#detail h2');
    expect(requests.every((url) => url.startsWith(`${server.address}/`))).toBe(true);
    expect(complaints).toEqual([]);
    const tried = await page.evaluate(async () => {
      const asked = await fetch('http://127.0.0.1:9/', { mode: 'no-cors' }).then(
        () => 'fetched',
        (error: Error) => error.name,
      );
      let parsed = 'parsed';
      try {
        document.createElement('div').innerHTML = '<b>x</b>';
      } catch {
        parsed = 'not parsed';
      }
      return [asked, parsed];
    });
    expect(tried).toEqual(['TypeError', 'not parsed']);
    expect(complaints.join()).toContain('Content Security Policy');
  });

  it('shows hostile names as text', async () => {
    const hostile = '<img src=x onerror=alert(1)>';
    await page.route('**/api/v1/organisations?*', (route) =>
      route.fulfill({
        json: {
          ...{ matches: 1, page: 1, pages: 1 },
          organisations: [
            {
              rank: 1,
              id: hostile,
              name: hostile,
              territory: hostile,
              probability: 0.5,
              signals: [{ text: hostile, contribution: 1 }],
            },
          ],
        },
      }),
    );
    await signIn();
    expect(await names()).toEqual([hostile]);
    expect(await page.locator('img').count()).toBe(0);
    expect(complaints).toEqual([]);
  });

  it.each([
    ['a desktop', 1440, 'light'],
    ['a desktop in the dark', 1280, 'dark'],
    ['a phone', 360, 'light'],
    ['a phone in the dark', 390, 'dark'],
  ] as const)('fits %s: nothing is cut off, text can be read, everything has a name', async (_, width, colorScheme) => {
    await page.setViewportSize({ width, height: 800 });
    await page.emulateMedia({ colorScheme });
    const check = async (): Promise<void> => {
      expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width);
      expect(await page.evaluate(unreadable)).toEqual([]);
      expect(await page.evaluate(unnamed)).toEqual([]);
    };
    await check();
    await signIn();
    await check();
    await page.click('#organisations > li:nth-child(1)');
    await page.waitForSelector('#detail h2');
    await check();
    // Where there is no room for both, the evidence is in place of the list.
    expect(await page.isVisible('#list')).toBe(width > 1000);
    await page.click('#to-summaries');
    await page.waitForSelector('#summary table');
    await check();
  });
});

/** Visible text whose contrast with what is behind it is below 4.5 to 1 (WCAG 2.2, 1.4.3). Runs in the page. */
function unreadable(): string[] {
  const parse = (colour: string): number[] => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = (colour: number[]): number => {
    const [r, g, b] = colour.slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    }) as [number, number, number];
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element: Element | null): number[] => {
    for (let at = element; at !== null; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || (colour[3] ?? 0) > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found: string[] = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null; node = walker.nextNode()) {
    const element = node.parentElement!;
    const text = node.textContent!.trim();
    if (text === '' || !element.checkVisibility() || element.closest('script, noscript, option') !== null) continue;
    if (element.closest('button:disabled') !== null) continue;
    const [a, b] = [parse(getComputedStyle(element).color), background(element)].map(luminance) as [number, number];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${text.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return found;
}

/** What can be operated without a name, fields without a label, a page without its landmarks. Runs in the page. */
function unnamed(): string[] {
  const found: string[] = [];
  for (const element of document.querySelectorAll('a, button, input, select, nav, table, section, fieldset')) {
    if (!element.checkVisibility()) continue;
    const labels = (element as HTMLInputElement).labels;
    const by = (element.getAttribute('aria-labelledby') ?? '')
      .split(' ')
      .map((id) => document.getElementById(id)?.textContent);
    const inner = /^(A|BUTTON)$/.test(element.tagName) ? element.textContent : '';
    const caption = element.querySelector(':scope > caption, :scope > legend')?.textContent;
    const name = [element.getAttribute('aria-label'), ...by, labels?.[0]?.textContent, inner, caption].find((text) =>
      text?.trim(),
    );
    if (!name) found.push(element.outerHTML.slice(0, 80));
  }
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  if (new Set(ids).size !== ids.length) found.push('an id occurs twice');
  if (document.querySelectorAll('main').length !== 1) found.push('no single main');
  const headings = [...document.querySelectorAll('h1')].filter((heading) => heading.checkVisibility());
  if (headings.length > 1) found.push('several first headings');
  if (document.documentElement.lang !== 'en' || document.title === '') found.push('no language or title');
  return found;
}
