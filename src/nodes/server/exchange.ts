/**
 * One authenticated request and its answer. Every answer to a member carries a MAC bound to the request's nonce; a
 * stranger's request never gets as far as here.
 */
import type { KeyObject } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Epoch } from '../../base/ids.ts';
import type { NodeErrorKind } from '../protocol.ts';
import { ANSWER_KIND_HEADER, ANSWER_MAC_HEADER, answerMac, EPOCH_HEADER } from '../request-auth.ts';

/** Status for each refusal that a node itself can give. */
export const STATUS_OF = {
  protocol: 400,
  unauthorized: 403,
  'not-found': 404,
  conflict: 409,
  'stale-epoch': 412,
  corrupt: 422,
  fenced: 423,
  full: 507,
} as const satisfies Partial<Record<NodeErrorKind, number>>;
export type Refusal = keyof typeof STATUS_OF;

/** Ends the request with a refusal. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly kind: Refusal;
  /** The node's, told to the caller. */
  readonly epoch: Epoch | undefined;
  constructor(kind: Refusal, message: string, epoch?: Epoch) {
    super(message);
    this.kind = kind;
    this.epoch = epoch;
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
  /** null when the request has none. */
  readonly epoch: Epoch | null;
}

/** What a refused body may still send before its connection is cut: one chunk's worth keeps small writes' connections. */
const DRAIN_BYTES_MAX = 512 * 1024;

/** The headers of a signed answer. `body`: when it is signed too; without a `contentLength` the body is chunked. */
export function writeHead(
  x: Exchange,
  status: number,
  contentLength: number | null,
  body: Buffer | null,
  { kind = '', epoch = '' }: { kind?: string; epoch?: string } = {},
): void {
  const facts = { nonce: x.nonce, status, kind, epoch, contentLength: contentLength ?? 0, body };
  x.res.writeHead(status, [
    ...(contentLength === null ? [] : ['content-length', String(contentLength)]),
    ANSWER_MAC_HEADER,
    answerMac(x.key, facts),
    ...(kind ? [ANSWER_KIND_HEADER, kind] : []),
    ...(epoch ? [EPOCH_HEADER, epoch] : []),
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
export function refuse(x: Exchange, kind: Refusal, epoch?: Epoch): void {
  const { req, res } = x;
  if (res.headersSent || res.destroyed) {
    req.socket.destroy();
    return;
  }
  if (!req.complete && x.contentLength > DRAIN_BYTES_MAX) res.setHeader('connection', 'close');
  writeHead(x, STATUS_OF[kind], 0, null, { kind, epoch: epoch === undefined ? '' : String(epoch) });
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
