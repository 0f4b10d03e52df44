/** A receiver of webhooks on a free loopback port, whose behaviour a test sets: it answers, refuses, is slow, cuts its answer. */
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly id: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}
export interface Receiver {
  readonly url: string;
  readonly port: number;
  /** Everything that came whole, in order; also what was not answered well. */
  readonly received: readonly Received[];
  /** What was answered well. */
  readonly taken: readonly Received[];
  /** Decides about one request; true: answered well. */
  answer: (request: Received, response: ServerResponse) => boolean | Promise<boolean>;
  close(): Promise<void>;
}

export const answerOk = (_request: Received, response: ServerResponse): boolean => {
  response.writeHead(200).end('ok');
  return true;
};
export const answerWith =
  (status: number, headers: Record<string, string> = {}) =>
  (_request: Received, response: ServerResponse): boolean => {
    response.writeHead(status, headers).end('no');
    return status >= 200 && status < 300;
  };
/** Says that it will answer well, and is cut. */
export const cutAnswer = (_request: Received, response: ServerResponse): boolean => {
  response.writeHead(200, { 'content-length': '100' });
  response.write('some');
  setImmediate(() => response.destroy());
  return false;
};

export async function startReceiver(port = 0): Promise<Receiver> {
  const received: Received[] = [];
  const taken: Received[] = [];
  const server: Server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    res.on('error', () => {});
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', async () => {
      const body = Buffer.concat(chunks).toString();
      const request = { id: String(req.headers['webhook-id']), headers: req.headers, body };
      received.push(request);
      if (await receiver.answer(request, res)) taken.push(request);
    });
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const { port: at } = server.address() as AddressInfo;
  const receiver: Receiver = {
    ...{ url: `http://127.0.0.1:${at}/hook`, port: at, received, taken, answer: answerOk },
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return receiver;
}
