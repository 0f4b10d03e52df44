/** A wire between client and node that can be cut after N bytes, or change a byte, in either direction. */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { HOST } from '../../integration/nodes/fixture.ts';

export interface Wire extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open now. */
  open(): number;
}

export interface WireFaults {
  /** Cut both ends once so many bytes have passed in this direction. */
  readonly cutToNodeAfter?: number;
  readonly cutToClientAfter?: number;
  /** Change what passes; `offset` is the position of the piece's first byte in its direction. */
  readonly toNode?: (piece: Buffer, offset: number) => Buffer;
  readonly toClient?: (piece: Buffer, offset: number) => Buffer;
}

/** Flips one bit of the byte at `position`. */
export const flipAt =
  (position: number) =>
  (piece: Buffer, offset: number): Buffer => {
    if (position < offset || position >= offset + piece.length) return piece;
    const copy = Buffer.from(piece);
    copy[position - offset]! ^= 1;
    return copy;
  };

export async function wireTo(nodePort: number, faults: WireFaults = {}): Promise<Wire> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const node = connect(nodePort, HOST);
    for (const socket of [client, node]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
      socket.on('close', () => sockets.delete(socket));
    }
    const cut = (): void => {
      client.resetAndDestroy();
      node.destroy();
    };
    pass(client, node, faults.toNode, faults.cutToNodeAfter, cut);
    pass(node, client, faults.toClient, faults.cutToClientAfter, cut);
  });
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    open: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function pass(
  from: Socket,
  to: Socket,
  change: ((piece: Buffer, offset: number) => Buffer) | undefined,
  cutAfter: number | undefined,
  cut: () => void,
): void {
  let offset = 0;
  from.on('data', (piece: Buffer) => {
    const passed = change ? change(piece, offset) : piece;
    offset += piece.length;
    if (cutAfter !== undefined && offset > cutAfter) {
      to.write(passed.subarray(0, passed.length - (offset - cutAfter)), cut);
      return;
    }
    if (!to.write(passed)) {
      from.pause();
      to.once('drain', () => from.resume());
    }
  });
  from.on('end', () => to.end());
  from.on('close', () => to.destroy());
}
