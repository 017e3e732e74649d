import { createServer, type Server } from 'node:net';

/** Below the range that systems take for outgoing connections, so that none of ours lands on it in between. */
const FIRST_PORT = 15_000;
const BLOCK = 64;
const BLOCKS = 264;

let given = 0;
let end = 0;
let taking: Promise<void> | null = null;

/** Listens on the loopback port; null when somebody else does. Does not keep the process alive. */
function hold(port: number): Promise<Server | null> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(null));
    server.listen(port, '127.0.0.1', () => resolve(server.unref()));
  });
}

/** This process alone gives ports of a block: it listens on the block's first port for as long as it lives. */
async function takeBlock(): Promise<void> {
  const start = process.pid % BLOCKS;
  for (let i = 0; i < BLOCKS; i++) {
    const first = FIRST_PORT + ((start + i) % BLOCKS) * BLOCK;
    if ((await hold(first)) === null) continue;
    given = first;
    end = first + BLOCK;
    return;
  }
  throw new Error(`no free block of ports on 127.0.0.1 from ${FIRST_PORT} to ${FIRST_PORT + BLOCK * BLOCKS - 1}`);
}

/**
 * A TCP port on loopback that nobody listens on, given once in this process and by no other one that asks here. Nobody
 * holds it for us: a stranger may still take it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    if (given + 1 >= end) {
      taking ??= takeBlock().finally(() => {
        taking = null;
      });
      await taking;
      continue;
    }
    given += 1;
    const port = given;
    const held = await hold(port);
    if (held === null) continue;
    await new Promise<void>((resolve) => held.close(() => resolve()));
    return port;
  }
}
