// Compiles the entries of crypto/kernel (AssemblyScript) into build/. Does nothing when the sources, the flags and the compiler
// are those of the last build: their hash lies beside each module. Plain JavaScript, started by `npm ci` through `prepare`.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const sources = join(root, 'crypto', 'kernel');
/** Source of each module, in crypto/kernel, and the name of what it becomes. */
const entries = [
  ['index.ts', 'kernel.wasm'],
  ['noise.ts', 'noise.wasm'],
];
const flags = ['-O3', '--enable', 'simd', '--runtime', 'stub', '--noAssert'];

/** The compiler's URL, or null where development dependencies were left out. */
function findCompiler() {
  try {
    return import.meta.resolve('assemblyscript/asc');
  } catch {
    return null;
  }
}

function hashInputs(compilerVersion) {
  const hash = createHash('sha256').update(JSON.stringify([compilerVersion, flags]));
  for (const name of readdirSync(sources)
    .filter((file) => file.endsWith('.ts'))
    .sort()) {
    const text = readFileSync(join(sources, name));
    hash.update(`\0${name}\0${text.length}\0`).update(text);
  }
  return hash.digest('hex');
}

async function build(entry, name) {
  const output = join(root, 'build', name);
  const stamp = `${output}.sha256`;
  const compiler = findCompiler();
  if (compiler === null) {
    if (existsSync(output)) return;
    console.warn(
      'veilsum: the fast kernel is not built, because assemblyscript is not installed (npm ci without --omit=dev).',
    );
    return;
  }
  const asc = await import(compiler);
  const wanted = hashInputs(asc.version);
  if (existsSync(output) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;

  mkdirSync(dirname(output), { recursive: true });
  // Each build writes its own file and moves it into place, so that two at once, or a kill, never leave half a module.
  const fresh = `${output}.${process.pid}`;
  const inputs = [join('crypto', 'kernel', entry), '--baseDir', root, '--outFile', fresh.slice(root.length + 1)];
  try {
    const { error, stderr } = await asc.main([...inputs, ...flags], { stderr: process.stderr });
    if (error) throw new Error(`asc failed: ${error.message}\n${stderr ?? ''}`);
    renameSync(fresh, output);
    writeFileSync(stamp, wanted);
  } finally {
    rmSync(fresh, { force: true });
  }
  console.log(`veilsum: built build/${name} (${readFileSync(output).length} bytes)`);
}

for (const [entry, name] of entries) await build(entry, name);
