import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { arch, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { writeDurably } from '../config/files.ts';
import { CliError } from './exit.ts';
import { grouped, print, table } from './output.ts';

/** As bench/row.ts has it; the folder is not part of a package. */
interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly baseline: string;
  readonly ratio: number | null;
}

interface BenchReport {
  readonly bench: string;
  readonly machine: string;
  readonly commit: string;
  readonly rows: readonly BenchRow[];
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const FOLDER = join(ROOT, 'bench');
const BEGIN = '<!-- figures: written by npm run bench -- all -->';
const END = '<!-- end of figures -->';

function requireCheckout(): void {
  if (existsSync(join(FOLDER, 'row.ts'))) return;
  throw new CliError('NO_BENCHES', 'a package holds no benches: run them in a checkout with npm run bench -- NAME');
}

function machine(): string {
  const processors = cpus();
  const model = processors[0]?.model.replaceAll(/\s+/g, ' ').trim() ?? 'unknown processor';
  return `${processors.length} x ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${process.platform} ${arch()}, Node ${process.versions.node}`;
}

/** The commit that is measured; `-dirty` where files differ from it. */
function commit(): string {
  try {
    const git = (...args: string[]): string =>
      execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    const changed = git('status', '--porcelain', '--untracked-files=no', '--', '.', ':!bench/README.md');
    return git('rev-parse', '--short=12', 'HEAD') + (changed === '' ? '' : '-dirty');
  } catch {
    return 'unknown';
  }
}

/** Four significant digits; whole numbers from a thousand on. */
function figure(value: number): string {
  return Math.abs(value) >= 1000 ? grouped(Math.round(value)) : String(Number(value.toPrecision(4)));
}

function cells({ name, value, unit, baseline, ratio }: BenchRow): string[] {
  return [name, figure(value), unit, ratio === null ? '' : Number(ratio.toPrecision(3)).toString(), baseline];
}

const HEADER = ['row', 'value', 'unit', 'ratio', 'measured against'];

/** Runs one bench in this process. With `json` the last line is the report. */
export async function runBench(name: string, json: boolean): Promise<void> {
  requireCheckout();
  const file = join(FOLDER, `${name}.ts`);
  if (!existsSync(file)) throw new CliError('NO_BENCHES', `bench/${name}.ts is not there yet`);
  const { run } = (await import(pathToFileURL(file).href)) as { run: () => Promise<readonly BenchRow[]> };
  const report: BenchReport = { bench: name, machine: machine(), commit: commit(), rows: await run() };
  if (json) return print(JSON.stringify(report));
  print(`${name} on ${report.machine}, commit ${report.commit}\n`);
  print(table(HEADER, report.rows.map(cells)));
}

/** One bench in a process of its own, so that none warms up or crowds out another. */
function runApart(name: string): Promise<BenchReport> {
  const main = join(ROOT, 'src', 'main.ts');
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', main, 'bench', name, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      const last = Buffer.concat(chunks).toString('utf8').trim().split('\n').at(-1) ?? '';
      if (code === 0) resolve(JSON.parse(last) as BenchReport);
      else reject(new CliError('BENCH_FAILED', `bench ${name} ended with code ${code}`));
    });
  });
}

function markdown(reports: readonly BenchReport[]): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const lines = reports.flatMap((report) =>
    report.rows.map((row) => `| ${[report.bench, ...cells(row)].map(cell).join(' | ')} |`),
  );
  const [first] = reports;
  return [
    BEGIN,
    '',
    `Machine: ${first!.machine}. Commit: ${first!.commit}.`,
    '',
    `| bench | ${HEADER.join(' | ')} |`,
    `|${'---|'.repeat(HEADER.length + 1)}`,
    ...lines,
    '',
    END,
  ].join('\n');
}

/** Puts the table between its markers, or at the end of a file that has none. */
function writeReadme(figures: string): void {
  const path = join(FOLDER, 'README.md');
  const text = existsSync(path)
    ? readFileSync(path, 'utf8')
    : '# Figures\n\nRun `npm run bench -- all` to measure them on your machine.\n';
  const [from, to] = [text.indexOf(BEGIN), text.indexOf(END)];
  const next =
    from >= 0 && to > from
      ? text.slice(0, from) + figures + text.slice(to + END.length)
      : `${text.trimEnd()}\n\n${figures}\n`;
  writeDurably(path, next);
}

/** All benches one after the other. A bench that fails is named at the end, and the table is not written. */
export async function runAllBenches(names: readonly string[], json: boolean): Promise<void> {
  requireCheckout();
  const reports: BenchReport[] = [];
  const failed: string[] = [];
  for (const name of names) {
    try {
      const report = await runApart(name);
      reports.push(report);
      print(json ? JSON.stringify(report) : `${name}\n${table(HEADER, report.rows.map(cells))}\n`);
    } catch (error) {
      failed.push(name);
      print(`${name}: ${(error as Error).message}`);
    }
  }
  if (failed.length > 0)
    throw new CliError('BENCH_FAILED', `not measured: ${failed.join(', ')}; bench/README.md is as it was`);
  writeReadme(markdown(reports));
  if (!json) print('bench/README.md is written');
}
