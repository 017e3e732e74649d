import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, it } from 'vitest';
import { freePort } from '../../src/platform/free-port.ts';

const COUNT = 100;
/** Prints its ports, and lives until its standard input ends: a process that is gone needs no ports. */
const asking = `
  import { freePort } from './src/platform/free-port.ts';
  const ports = await Promise.all(Array.from({ length: ${COUNT} }, () => freePort()));
  console.log(JSON.stringify(ports));
  process.stdin.resume();
`;

async function askElsewhere(): Promise<{ ports: number[]; end(): void }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', asking], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { ports: JSON.parse(line.toString()) as number[], end: () => child.stdin.end() };
}

it('processes that ask for free ports at the same time are never given the same one', async () => {
  const others = await Promise.all(Array.from({ length: 4 }, askElsewhere));
  const own = await Promise.all(Array.from({ length: COUNT }, () => freePort()));
  for (const other of others) other.end();
  const ports = [...own, ...others.flatMap((other) => other.ports)];
  expect(ports).toHaveLength(5 * COUNT);
  expect(new Set(ports).size).toBe(5 * COUNT);
});
