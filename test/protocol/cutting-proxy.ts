import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A TCP line between a client and a server that breaks where it is told to. */
export interface CuttingProxy {
  readonly address: string;
  /** Connections so far. */
  connections: number;
  /** Breaks the line once so many more bytes have gone to the server; null never. The count starts at each call. */
  cutAfter(bytes: number | null): void;
  close(): void;
}

export async function cuttingProxy(port: number): Promise<CuttingProxy> {
  let left: number | null = null;
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    proxy.connections++;
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    upstream.on('data', (data) => client.write(data));
    client.on('data', (data: Buffer) => {
      if (left === null) return void upstream.write(data);
      const passed = data.subarray(0, left);
      left -= passed.length;
      if (left > 0) return void upstream.write(passed);
      left = null;
      // What passed arrives; then both ends see the line go.
      upstream.write(passed, () => {
        upstream.destroySoon();
        client.destroy();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: CuttingProxy = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: 0,
    cutAfter: (bytes) => {
      left = bytes;
    },
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  return proxy;
}
