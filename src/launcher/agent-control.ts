/**
 * The agent's control port. Invariants: nothing is routed or answered before the request's MAC was verified (a stranger
 * gets an empty 403 and a closed connection); every body is bounded; every answer is signed with its body.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Logger } from 'pino';
import type { z } from 'zod';
import type { Clock } from '../base/clock.ts';
import {
  ANSWER_KIND_HEADER,
  ANSWER_MAC_HEADER,
  AUTH_HEADER,
  answerMac,
  BODY_DIGEST_HEADER,
  clusterKey,
  verifyRequest,
} from '../nodes/request-auth.ts';
import {
  type AgentRefusal,
  type AgentStatus,
  type GiveUpOrder,
  giveUpOrder,
  type Lease,
  type LeaseOrder,
  leaseOrder,
  ORDER_BYTES_MAX,
  ORDER_PATHS,
  SEARCH_PATH,
  STATUS_PATH,
  type SynchronousOrder,
  synchronousOrder,
  type TakeOverOrder,
  takeOverOrder,
} from './agent-protocol.ts';

export interface AgentControlOptions {
  readonly member: string;
  readonly host: string;
  readonly port: number;
  readonly secret: Buffer;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'warn' | 'error'>;
  /** What this directory says to a question of a search; null: nothing. */
  readonly answerSearch?: (question: Buffer) => Promise<Buffer | null>;
  readonly orders: AgentOrders;
}

export interface AgentOrders {
  status(): AgentStatus;
  setSynchronous(order: SynchronousOrder): Promise<AgentStatus | AgentRefusal>;
  takeOver(order: TakeOverOrder): Promise<AgentStatus | AgentRefusal>;
  giveUp(order: GiveUpOrder): Promise<AgentStatus | AgentRefusal>;
  lease(order: LeaseOrder): Promise<Lease | AgentRefusal>;
}

/** Of a directory about which a supervisor decides. */
export const NO_ORDERS: Omit<AgentOrders, 'status'> = {
  setSynchronous: async () => 'supervised',
  takeOver: async () => 'supervised',
  giveUp: async () => 'supervised',
  lease: async () => 'supervised',
};

export interface AgentControl {
  readonly port: number;
  close(): Promise<void>;
}

const CONNECTIONS_MAX = 64;
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
const HEADER_BYTES_MAX = 8_192;

/** @throws whatever listen() throws */
export async function openAgentControl(options: AgentControlOptions): Promise<AgentControl> {
  const key = clusterKey(options.secret);
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: HEADERS_MS,
      connectionsCheckingInterval: 1_000,
      requireHostHeader: false,
    },
    (req, res) => void serve(req, res, key, options),
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.on('clientError', (_, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: options.port, host: options.host }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

type Answer = AgentStatus | Lease | AgentRefusal;
/** null: the document is no such order. */
type CarryOut = (orders: AgentOrders, document: unknown) => Promise<Answer | null>;

const orderOf =
  <T>(schema: z.ZodType<T>, carryOut: (orders: AgentOrders, order: T) => Promise<Answer>): CarryOut =>
  async (orders, document) => {
    const order = schema.safeParse(document);
    return order.success ? carryOut(orders, order.data) : null;
  };
const ORDERS: ReadonlyMap<string, CarryOut> = new Map([
  [ORDER_PATHS.synchronous, orderOf(synchronousOrder, (orders, order) => orders.setSynchronous(order))],
  [ORDER_PATHS.takeOver, orderOf(takeOverOrder, (orders, order) => orders.takeOver(order))],
  [ORDER_PATHS.giveUp, orderOf(giveUpOrder, (orders, order) => orders.giveUp(order))],
  [ORDER_PATHS.lease, orderOf(leaseOrder, (orders, order) => orders.lease(order))],
]);

type Key = ReturnType<typeof clusterKey>;

async function serve(
  req: IncomingMessage,
  res: ServerResponse,
  key: Key,
  o: AgentControlOptions,
): Promise<void> {
  res.sendDate = false;
  res.on('error', () => {});
  const text = (name: string): string => {
    const value = req.headers[name];
    return typeof value === 'string' ? value : '';
  };
  const method = req.method ?? '';
  const target = req.url ?? '';
  const contentLength = Number(text('content-length') || '0');
  const bodyDigest = text(BODY_DIGEST_HEADER);
  const facts = { member: o.member, method, target, contentLength, epoch: '', intent: '', bodyDigest };
  const nonce = verifyRequest(key, o.clock.now(), text(AUTH_HEADER), facts);
  if (nonce === null) {
    res.writeHead(403, ['content-length', '0', 'connection', 'close']);
    res.end(() => req.socket.destroy());
    return;
  }
  const answer = (status: number, document: unknown): void => {
    const body = Buffer.from(JSON.stringify(document));
    const mac = answerMac(key, { nonce, status, kind: 'agent', contentLength: body.length, body });
    const headers = {
      [ANSWER_KIND_HEADER]: 'agent',
      [ANSWER_MAC_HEADER]: mac,
      'content-length': body.length,
    };
    res.writeHead(status, headers).end(body);
  };
  try {
    const body = await readBody(req, contentLength, bodyDigest);
    if (method === 'GET' && target === STATUS_PATH) return answer(200, o.orders.status());
    if (method === 'POST' && target === SEARCH_PATH) {
      const said = (await o.answerSearch?.(body)) ?? null;
      return said ? answer(200, { answer: said.toString('base64') }) : answer(404, { problem: 'no answer' });
    }
    const carryOut = method === 'POST' ? ORDERS.get(target) : undefined;
    if (!carryOut) return answer(404, { problem: 'there is no such call' });
    const done = await carryOut(o.orders, JSON.parse(body.toString()));
    if (done === null) answer(400, { problem: 'the order is not understood' });
    else if (typeof done === 'string') answer(409, { refused: done });
    else answer(200, done);
  } catch (error) {
    o.log.warn({ err: error, method, target }, 'a control request failed');
    req.socket.destroy();
  }
}

/** @throws {Error} when it is longer than allowed or not the one that was signed */
async function readBody(req: IncomingMessage, contentLength: number, digest: string): Promise<Buffer> {
  if (contentLength > ORDER_BYTES_MAX) throw new Error(`a body of ${contentLength} bytes`);
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of req as AsyncIterable<Buffer>) {
    length += part.length;
    if (length > ORDER_BYTES_MAX) throw new Error('the body is too long');
    parts.push(part);
  }
  const body = Buffer.concat(parts);
  if (length !== contentLength) throw new Error('the body has not the length that was signed');
  if (length > 0 && createHash('sha256').update(body).digest('hex') !== digest)
    throw new Error('the body is not the one that was signed');
  return body;
}
