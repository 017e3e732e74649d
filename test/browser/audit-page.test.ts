import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { auditFolder } from '../../src/audit/audit-folder.ts';
import { type Golden, writeGolden } from '../reference/golden-folder.ts';
import { hasChromium, launchChromium } from './chromium.ts';

if (!hasChromium) console.log('test/browser/audit-page: all tests skipped, there is no /usr/bin/chromium');

const root = resolve(import.meta.dirname, '..', '..');
const scratch = mkdtempSync(join(tmpdir(), 'veilsum-page-'));
const auditor = join(scratch, 'auditor.html');
const goldenFolder = join(scratch, 'golden');

let golden: Golden;
let browser: Browser;
let page: Page;
let folder = '';
/** What the page asked for, and what it said that it should not have to say. */
let requests: string[] = [];
let complaints: string[] = [];

describe.skipIf(!hasChromium)('the auditor’s page, in Chromium', () => {
  beforeAll(async () => {
    mkdirSync(goldenFolder);
    golden = await writeGolden(goldenFolder);
    const build = spawnSync(process.execPath, [join(root, 'scripts', 'build-auditor.mjs'), '--out', auditor]);
    expect(build.stderr.toString()).toBe('');
    browser = await launchChromium();
  });

  afterAll(async () => {
    await browser?.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  beforeEach(async () => {
    folder = mkdtempSync(join(scratch, 'case-'));
    cpSync(goldenFolder, folder, { recursive: true });
    await page?.close();
    page = await browser.newPage();
    requests = [];
    complaints = [];
    page.on('request', (request) => requests.push(request.url()));
    page.on('console', (message) => complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('dialog', (dialog) => complaints.push(`dialog ${dialog.message()}`));
    await page.goto(`file://${auditor}`);
  });

  /** @returns the first line of the verdict, and the codes of the findings. */
  async function audit(files: { blobs?: boolean; genesis?: string; since?: string } = {}) {
    await page.setInputFiles('#log', join(folder, 'log'));
    await page.setInputFiles('#policy', join(folder, 'policy.txt'));
    if (files.blobs === true) await page.setInputFiles('#blobs', join(folder, 'blobs'));
    if (files.since !== undefined) await page.setInputFiles('#since', files.since);
    if (files.genesis !== undefined) await page.fill('#genesis', files.genesis);
    await page.click('#start');
    await page.waitForSelector('.verdict');
    return {
      verdict: await page.textContent('.verdict b'),
      codes: await page.locator('.finding h3 code').allTextContents(),
    };
  }

  async function saved(label: string): Promise<string> {
    const [download] = await Promise.all([page.waitForEvent('download'), page.click(`text=${label}`)]);
    return readFileSync(await download.path(), 'utf8');
  }

  it('verifies a good log with its blobs, and says word for word what the command line says', async () => {
    const { verdict, codes } = await audit({ blobs: true, genesis: golden.genesis });
    expect([verdict, codes]).toEqual(['✓ Verified', []]);
    expect(await page.locator('tr', { hasText: 'With the blobs' }).locator('.state').textContent()).toBe('recomputed');
    expect(await page.textContent('.more')).toContain('sum recomputed');
    const request = { folder: join(folder, 'log'), policyFile: join(folder, 'policy.txt') };
    const node = await auditFolder({ ...request, blobs: join(folder, 'blobs'), genesis: golden.genesis });
    expect(await saved('Save as text')).toBe(node.text);
    expect(JSON.parse(await saved('Save as JSON'))).toEqual(JSON.parse(JSON.stringify(node.json)));
  });

  it('without blobs says "not recomputed" where it can be seen', async () => {
    expect((await audit()).verdict).toBe('✓ Verified');
    expect(await page.textContent('.verdict')).toContain('Check 15: not recomputed.');
    expect(await page.textContent('.more')).toContain('not recomputed');
  });

  it('finds changed bytes, by the reason codes of the command line', async () => {
    const bundle = join(folder, 'log', 'tile', 'entries', '000.p');
    const [name] = readdirSync(bundle);
    const path = join(bundle, name!);
    const bytes = readFileSync(path);
    const seen = new Set<string>();
    for (const at of [0, 40, Math.floor(bytes.length / 2), bytes.length - 20]) {
      writeFileSync(path, bytes.with(at, bytes[at]! ^ 1));
      const { verdict, codes } = await audit();
      const node = await auditFolder({ folder: join(folder, 'log'), policyFile: join(folder, 'policy.txt') });
      expect(verdict).toBe('✗ Violation');
      expect(codes).toEqual((node.json as { findings: { code: string }[] }).findings.map(({ code }) => code));
      for (const code of codes) seen.add(code);
      await page.reload();
    }
    expect(seen).toContain('ROOT_MISMATCH');
    expect(seen.size).toBeGreaterThan(2);
  });

  it('finds a changed payload, a missing file, another pin and another head', async () => {
    const payload = join(folder, 'blobs', golden.payload);
    const bytes = readFileSync(payload);
    writeFileSync(payload, bytes.with(100, bytes[100]! ^ 1));
    expect((await audit({ blobs: true })).codes).toEqual(['BLOB_CORRUPT']);
    await page.reload();
    expect((await audit({ genesis: 'ab'.repeat(32) })).codes).toEqual(['GENESIS_PIN']);
    await page.reload();
    expect((await audit({ since: join(folder, 'policy.txt') })).codes).toEqual(['BAD_CHECKPOINT']);
    await page.reload();
    expect((await audit({ since: join(folder, 'log', 'checkpoint') })).codes).toEqual([]);
    await page.reload();
    rmSync(join(folder, 'log', 'tile', '0'), { recursive: true });
    expect(await audit()).toEqual({ verdict: '? Cannot decide', codes: ['FILE_MISSING'] });
  });

  it('asks for what is missing before it starts', async () => {
    expect(await page.isDisabled('#start')).toBe(true);
    await page.setInputFiles('#log', join(folder, 'blobs'));
    expect(await page.textContent('#log-chosen')).toContain('holds no checkpoint');
    await page.setInputFiles('#log', folder); // a folder with everything in it: the log is found
    expect(await page.textContent('#log-chosen')).toContain('/log/');
    await page.setInputFiles('#policy', join(folder, 'policy.txt'));
    expect(await page.isDisabled('#start')).toBe(false);
    await page.fill('#genesis', 'no hash');
    expect(await page.isDisabled('#start')).toBe(true);
  });

  it('takes a dropped folder', async () => {
    const session = await page.context().newCDPSession(page);
    for (const [id, path] of [
      ['log', join(folder, 'log')],
      ['policy', join(folder, 'policy.txt')],
    ] as const) {
      const box = (await page.locator(`#${id}-chosen`).boundingBox())!;
      const data = { items: [], files: [path], dragOperationsMask: 1 };
      for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
        await session.send('Input.dispatchDragEvent', { type, x: box.x + 5, y: box.y + 5, data });
      }
    }
    await page.waitForSelector('#start:not([disabled])');
    await page.click('#start');
    await page.waitForSelector('.verdict');
    expect(await page.textContent('.verdict b')).toBe('✓ Verified');
  });

  it('shows hostile names as text: nothing runs, nothing is parsed as HTML', async () => {
    const hostile = '<img/src=x/onerror=alert(1)>\u202e';
    const bad = join(folder, `${hostile.replaceAll('/', '_')}<script>alert(2)<_script>`);
    cpSync(join(folder, 'log'), bad, { recursive: true });
    await page.setInputFiles('#log', bad);
    await page.setInputFiles('#policy', join(folder, 'policy.txt'));
    expect(await page.textContent('#log-chosen')).toContain('<script>alert(2)');
    expect(await page.textContent('#log-chosen')).toContain('\\u{202e}');
    await page.evaluate(() => {
      const worker = window.Worker.prototype;
      // The worst a log could say: every text of the report is markup.
      const name = '<img src=x onerror="alert(3)"><script>alert(4)</script>\u202e';
      const head = { origin: name, size: 1, root: name, cosigners: [{ name, timestamp: 0 }] };
      const round = { number: 1, task: name, outcome: name, nodes: name, attempts: 1, epsilon: null, charged: true };
      const report = {
        verdict: 'violation',
        head,
        since: head,
        genesis: { id: name, pinned: true, lines: [name] },
        leaves: 1,
        findings: [{ check: 1, code: name, index: 1, sentence: name, why: name }],
        checks: [{ check: 1, sentence: name, state: name, why: [name] }],
        remarks: [{ code: name, index: 1, text: name, check: 1 }],
        rounds: [{ ...round, blobs: name, tally: name, notes: [name] }],
        text: name,
        json: name,
      };
      worker.postMessage = function (this: Worker) {
        this.dispatchEvent(new MessageEvent('message', { data: { kind: 'report', report } }));
      };
    });
    await page.click('#start');
    await page.waitForSelector('.verdict');
    expect(await page.locator('#result img, #result script').count()).toBe(0);
    expect(await page.textContent('.finding')).toContain('<img src=x');
    expect(complaints).toEqual([]);
  });

  it('asks for nothing: no request but the page itself and the worker in it, and its policy forbids any', async () => {
    await audit({ blobs: true });
    expect(complaints).toEqual([]);
    expect(requests.filter((url) => !url.startsWith('blob:'))).toEqual([`file://${auditor}`]);
    // Whatever a bug in it might try: nothing reaches a server that waits for it. Control: without the policy it does.
    let reached = 0;
    const server = createServer((_request, response) => response.end(String(++reached)));
    await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const attempt = () =>
      page.evaluate(async (url) => {
        const image = new Image();
        const loaded = new Promise((resolve) => {
          image.onload = image.onerror = resolve;
        });
        image.src = url;
        const asked = fetch(url, { mode: 'no-cors' }).then(
          () => 'fetched',
          () => 'refused',
        );
        await loaded;
        let parsed = 'parsed';
        try {
          document.createElement('div').innerHTML = '<b>x</b>';
        } catch {
          parsed = 'not parsed';
        }
        return [await asked, parsed];
      }, address);
    expect([await attempt(), reached]).toEqual([['refused', 'not parsed'], 0]);
    const open = join(scratch, 'no-policy.html');
    writeFileSync(open, readFileSync(auditor, 'utf8').replace(/<meta http-equiv="Content-Security-Policy"[^>]*>/, ''));
    await page.goto(`file://${open}`);
    expect([await attempt(), reached]).toEqual([['fetched', 'parsed'], 2]);
    server.close();
    server.closeAllConnections();
  });
});
