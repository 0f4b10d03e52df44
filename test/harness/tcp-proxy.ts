/**
 * A TCP proxy that does to a connection what networks do: cuts it, goes silent, flips a bit, refuses. Faults count the
 * bytes that pass after they were set (`down`: from the target to the client), all connections together.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export type Direction = 'up' | 'down';
export interface ProxyFault {
  readonly direction: Direction;
  readonly afterBytes: number;
  /** `cut` and `flip` happen once; `stall` lasts until heal(). */
  readonly kind: 'cut' | 'stall' | 'flip';
}

/** A socket that is shutting down cannot be reset: libuv refuses, and the handle spins when the process ends. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

export class TcpProxy {
  port = 0;
  /** Connections that were accepted. */
  connections = 0;
  readonly #target: { host: string; port: number };
  readonly #sockets = new Set<Socket>();
  readonly #held: (() => void)[] = [];
  #fault: ProxyFault | null = null;
  #passed = 0;
  #refuses = false;
  readonly #server = createServer({ allowHalfOpen: true }, (client) => this.#accept(client));

  constructor(target: { host: string; port: number }) {
    this.#target = target;
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    this.port = (this.#server.address() as AddressInfo).port;
  }

  set(fault: ProxyFault): void {
    this.#fault = fault;
    this.#passed = 0;
  }

  /** Whether the fault that was set has happened. */
  get isSpent(): boolean {
    return this.#fault === null || this.#held.length > 0;
  }

  /** New connections are reset, open ones too. */
  refuse(): void {
    this.#refuses = true;
    this.cutAll();
  }

  heal(): void {
    this.#refuses = false;
    this.#fault = null;
    for (const release of this.#held.splice(0)) release();
  }

  cutAll(): void {
    for (const socket of this.#sockets) reset(socket);
  }

  async close(): Promise<void> {
    this.#server.close();
    this.cutAll();
    await once(this.#server, 'close');
  }

  #accept(client: Socket): void {
    this.connections += 1;
    if (this.#refuses) {
      client.on('error', () => {});
      reset(client);
      return;
    }
    const upstream = connect({ ...this.#target, allowHalfOpen: true });
    this.#pipe(client, upstream, 'up');
    this.#pipe(upstream, client, 'down');
  }

  #pipe(from: Socket, to: Socket, direction: Direction): void {
    this.#sockets.add(from);
    from.on('error', () => {});
    from.on('close', () => {
      this.#sockets.delete(from);
      to.destroy();
    });
    from.on('end', () => to.end());
    to.on('drain', () => from.resume());
    from.on('data', (bytes: Buffer) => this.#pass(bytes, from, to, direction));
  }

  #pass(bytes: Buffer, from: Socket, to: Socket, direction: Direction): void {
    const forward = (): void => {
      if (!to.destroyed && !to.write(bytes)) from.pause();
    };
    const fault = this.#fault;
    const before = this.#passed;
    if (fault?.direction === direction) this.#passed += bytes.length;
    if (fault?.direction !== direction || this.#passed <= fault.afterBytes) forward();
    else if (fault.kind === 'stall') {
      from.pause();
      this.#held.push(() => {
        forward();
        from.resume();
      });
    } else {
      this.#fault = null;
      const at = Math.max(0, fault.afterBytes - before);
      if (fault.kind === 'flip') {
        bytes[at]! ^= 1;
        forward();
      } else {
        to.write(bytes.subarray(0, at), () => {
          reset(from);
          reset(to);
        });
      }
    }
  }
}
