import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** Below the range that systems take for outgoing connections, so that none of ours lands on it in between. */
const FIRST_PORT = 15_000;
const PORTS = 17_000;

/** A free TCP port on loopback that is not in `taken`, and now is. Nobody holds it for us: free when this returns. */
export async function freePort(taken: Set<number>): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + randomInt(PORTS);
    if (taken.has(port)) continue;
    taken.add(port);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
