/** Reaches a port inside a network namespace from the test's own: a local port, a Unix socket, and a program inside. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { resolve } from 'node:path';
import type { NetLab } from './netns.ts';

export interface Door {
  /** On 127.0.0.1. */
  readonly port: number;
  close(): void;
}

export async function openDoor(
  lab: NetLab,
  o: { space: string; host: string; port: number; socketPath: string },
): Promise<Door> {
  const main = resolve(import.meta.dirname, 'ns-door-main.ts');
  lab.start(o.space, process.execPath, [main, o.socketPath, o.host, String(o.port)]);
  const server: Server = createServer((client) => {
    const inner = connect(o.socketPath);
    client.pipe(inner).pipe(client);
    client.on('error', () => inner.destroy());
    inner.on('error', () => client.destroy());
    client.on('close', () => inner.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.unref();
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}
