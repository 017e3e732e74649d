// Audits a demonstration's folder (log, policy.txt, blobs) with the auditor's page in Chromium, then a copy of its log with
// one byte changed: the first must be verified, the second not. Without Chromium it says so and does nothing.
// Run: node src/launcher.mjs --script scripts/page-audit.mjs FOLDER
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { hasChromium, launchChromium } from '../test/browser/chromium.ts';

const folder = resolve(process.argv[2] ?? '');
const auditor = new URL('../build/auditor.html', import.meta.url).href;

/** @returns the verdict's first line and the codes of what was found. */
async function auditIn(browser, log, blobs) {
  const page = await browser.newPage();
  const requests = [];
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(auditor);
  await page.setInputFiles('#log', log);
  await page.setInputFiles('#policy', join(folder, 'policy.txt'));
  if (blobs !== null) await page.setInputFiles('#blobs', blobs);
  await page.click('#start');
  await page.waitForSelector('.verdict', { timeout: 300_000 });
  const verdict = await page.textContent('.verdict');
  const codes = await page.locator('.finding h3 code').allTextContents();
  if (!requests.every((url) => /^(?:file|blob|data):/.test(url))) throw new Error('the page asked for something');
  await page.close();
  console.log(`auditor's page: ${verdict} ${codes.join(' ')}`);
  return { verdict, codes };
}

if (!hasChromium) console.log("auditor's page: skipped, there is no /usr/bin/chromium");
else {
  const scratch = mkdtempSync(join(tmpdir(), 'veilsum-page-'));
  const browser = await launchChromium();
  try {
    const good = await auditIn(browser, join(folder, 'log'), join(folder, 'blobs'));
    cpSync(join(folder, 'log'), join(scratch, 'log'), { recursive: true });
    const entries = join(scratch, 'log', 'tile', 'entries');
    const [bundle] = readdirSync(entries, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const path = join(bundle.parentPath, bundle.name);
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1] ^= 1;
    writeFileSync(path, bytes);
    const forged = await auditIn(browser, join(scratch, 'log'), null);
    const asWanted = good.verdict.startsWith('✓ Verified') && good.codes.length === 0;
    if (!asWanted || !forged.verdict.startsWith('✗ Violation')) process.exitCode = 1;
  } finally {
    await browser.close();
    rmSync(scratch, { recursive: true, force: true });
  }
}
