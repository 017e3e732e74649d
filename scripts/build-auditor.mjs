// Makes build/auditor.html: the auditor's page (src/audit-page), one file with everything in it and no network.
// Run: npm run build:auditor            writes build/auditor.html
//      ... -- --out FILE                writes there instead
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const page = join(root, 'src', 'audit-page');
const kernel = join(root, 'build', 'kernel.wasm');
const out = process.argv.indexOf('--out');
const output = out < 0 ? join(root, 'build', 'auditor.html') : resolve(process.argv[out + 1]);

/** The bundler, or null where development dependencies were left out. */
async function findBundler() {
  try {
    return await import('esbuild');
  } catch {
    return null;
  }
}

/** One entry as one readable script for browsers of the last years. A `node:` import anywhere below it is an error. */
async function bundle(esbuild, entry) {
  const { outputFiles, warnings } = await esbuild.build({
    entryPoints: [join(page, entry)],
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    target: ['chrome120', 'firefox121', 'safari17'],
    charset: 'ascii',
    legalComments: 'inline',
    logLevel: 'warning',
    absWorkingDir: root,
  });
  if (warnings.length > 0) throw new Error(`${entry}: the bundler warns`);
  const text = outputFiles[0].text;
  if (/<\/script|<!--/i.test(text)) throw new Error(`${entry}: text that would end the script`);
  return text;
}

const sourceHash = (text) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

const esbuild = await findBundler();
if (esbuild === null || !existsSync(kernel)) {
  console.warn('veilsum: the auditor’s page is not built: esbuild or build/kernel.wasm is missing (npm ci).');
} else {
  const script = await bundle(esbuild, 'main.ts');
  const worker = await bundle(esbuild, 'worker.ts');
  const style = readFileSync(join(page, 'page.css'), 'utf8');
  // Nothing may be loaded from anywhere; code is this script, the worker that it makes, and the kernel.
  const csp = [
    "default-src 'none'",
    `script-src ${sourceHash(script)} 'wasm-unsafe-eval'`,
    `style-src ${sourceHash(style)}`,
    'worker-src blob:',
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types veilsum-worker',
  ].join('; ');
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const parts = { csp, style, version, worker, script, kernel: readFileSync(kernel).toString('base64') };
  const html = readFileSync(join(page, 'page.html'), 'utf8').replaceAll(/\/\*part:(\w+)\*\//g, (_, name) => {
    if (!Object.hasOwn(parts, name)) throw new Error(`page.html: there is no part ${name}`);
    return parts[name];
  });
  mkdirSync(dirname(output), { recursive: true });
  const fresh = `${output}.${process.pid}`;
  writeFileSync(fresh, html);
  renameSync(fresh, output);
  console.log(`veilsum: built ${output} (${html.length} bytes)`);
}
