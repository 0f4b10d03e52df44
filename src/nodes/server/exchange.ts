/**
 * One authenticated request and its answer. Every answer to a member carries a MAC bound to the request's nonce; a
 * stranger's request never gets as far as here.
 */
import type { KeyObject } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NodeErrorKind } from '../protocol.ts';
import { ANSWER_KIND_HEADER, ANSWER_MAC_HEADER, answerMac } from '../request-auth.ts';

/** Status for each refusal that a node itself can give. */
export const STATUS_OF = {
  protocol: 400,
  unauthorized: 403,
  'not-found': 404,
  conflict: 409,
  corrupt: 422,
  full: 507,
} as const satisfies Partial<Record<NodeErrorKind, number>>;
export type Refusal = keyof typeof STATUS_OF;

/** Ends the request with a refusal. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly kind: Refusal;
  constructor(kind: Refusal, message: string) {
    super(message);
    this.kind = kind;
  }
}

export interface Exchange {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly key: KeyObject;
  readonly nonce: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly contentLength: number;
  /** As signed; '' when absent. */
  readonly intent: string;
  readonly bodyDigest: string;
}

/** What a refused body may still send before its connection is cut: one chunk's worth keeps small writes' connections. */
const DRAIN_BYTES_MAX = 512 * 1024;

export function writeHead(
  x: Exchange,
  status: number,
  contentLength: number,
  body: Buffer | null,
  kind = '',
): void {
  const mac = answerMac(x.key, { nonce: x.nonce, status, kind, contentLength, body });
  x.res.writeHead(status, [
    'content-length',
    String(contentLength),
    ANSWER_MAC_HEADER,
    mac,
    ...(kind ? [ANSWER_KIND_HEADER, kind] : []),
  ]);
}

export function answerJson(x: Exchange, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value), 'utf8');
  writeHead(x, 200, body.length, body);
  x.res.end(body);
}

export function answerDone(x: Exchange): void {
  writeHead(x, 201, 0, null);
  x.res.end();
}

/** Answers a refusal, or cuts the connection when the answer has begun. */
export function refuse(x: Exchange, kind: Refusal): void {
  const { req, res } = x;
  if (res.headersSent || res.destroyed) {
    req.socket.destroy();
    return;
  }
  if (!req.complete && x.contentLength > DRAIN_BYTES_MAX) res.setHeader('connection', 'close');
  writeHead(x, STATUS_OF[kind], 0, null, kind);
  res.end();
  if (!req.complete) drain(req);
}

/** Reads on for a while, so that the answer is not lost to a reset, then cuts. */
function drain(req: IncomingMessage): void {
  let left = DRAIN_BYTES_MAX;
  const timer = setTimeout(() => req.socket.destroy(), 1_000);
  timer.unref();
  req.on('data', (part: Buffer) => {
    left -= part.length;
    if (left < 0) req.socket.destroy();
  });
  req.once('close', () => clearTimeout(timer));
  req.on('error', () => {});
  req.resume();
}

/** A whole number from the query, or a refusal. */
export function integerOf(x: Exchange, name: string, max: number): number {
  const text = x.query.get(name) ?? '';
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || value > max)
    throw new Refused('protocol', `${name} is not a number up to ${max}`);
  return value;
}
