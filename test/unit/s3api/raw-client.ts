/** Bytes over a socket, for requests that no HTTP client sends. Every wait has a deadline. */
import { connect, type Socket } from 'node:net';

const DEADLINE_MS = 10_000;

export interface RawClient {
  readonly socket: Socket;
  /** Everything received so far. */
  received(): string;
  send(bytes: string | Buffer): void;
  /** Resolves with what was received when it matches. */
  until(pattern: RegExp): Promise<string>;
  /** Resolves with what was received when the server has closed. */
  closed(): Promise<string>;
  close(): void;
}

export async function rawClient(port: number): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1' });
  let received = '';
  let ended = false;
  const waiting = new Set<() => void>();
  const wake = () => {
    for (const check of waiting) check();
  };
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
    wake();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    ended = true;
    wake();
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  const wait = (what: string, holds: () => boolean) =>
    new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(check);
        reject(new Error(`no ${what} within ${DEADLINE_MS} ms in: ${received}`));
      }, DEADLINE_MS);
      const check = () => {
        if (!holds()) return;
        clearTimeout(timer);
        waiting.delete(check);
        resolve(received);
      };
      waiting.add(check);
      check();
    });
  return {
    socket,
    received: () => received,
    send: (bytes) => void socket.write(bytes),
    until: (pattern) => wait(String(pattern), () => pattern.test(received)),
    closed: () => wait('end of the connection', () => ended),
    close: () => socket.destroy(),
  };
}
