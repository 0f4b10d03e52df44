/**
 * The life of a request around its work (run-request.ts): ids, deadline, answer, access log, metrics. The only place that
 * catches, and (with respond.ts) the only one that writes to the socket. A request that failed is answered before the rest
 * of its body is dropped, so that the client sees the answer and not a reset connection.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { LIMITS } from '../base/limits.ts';
import { SignatureMismatch } from '../identity/errors.ts';
import type { ProxyRules } from './access/proxies.ts';
import type { S3Error, S3ErrorCode } from './errors.ts';
import { toS3Error } from './lower-errors.ts';
import type { Services } from './operation.ts';
import {
  type Answer,
  drainRequest,
  errorXml,
  ResponseBroken,
  SlowBodyFailed,
  sendError,
  sendResult,
} from './respond.ts';
import type { Router } from './router.ts';
import { expectsContinue, type Progress, type RequestReaders, runRequest } from './run-request.ts';
import { XML_DECLARATION } from './xml.ts';

export interface FinishedRequest {
  readonly requestId: string;
  /** The row's name; 'Unknown' when no row was found. */
  readonly operation: string;
  /** 499 when the client went away first. */
  readonly status: number;
  readonly errorCode?: S3ErrorCode;
  readonly ms: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface PipelineOptions {
  readonly services: Services;
  readonly readers: RequestReaders;
  readonly router: Router;
  readonly domains: readonly string[];
  readonly proxies: ProxyRules;
  readonly websiteDomains: readonly string[];
  readonly log: Logger;
  readonly hostId?: string;
  readonly slowBodyMs?: number;
  /** What is left of a body that nobody reads is dropped up to here, then the connection ends. */
  readonly drainBytesMax?: number;
  readonly drainIdleMs?: number;
  readonly onFinished?: (finished: FinishedRequest) => void;
}

export type Pipeline = (req: IncomingMessage, res: ServerResponse, refusal?: S3Error) => Promise<void>;

/** Bodies up to this size are read to their end, and the connection lives on; longer ones end it. */
const KEEP_ALIVE_BODY_BYTES = 1024 * 1024;

export function createPipeline(o: PipelineOptions): Pipeline {
  const hostId = o.hostId ?? randomBytes(36).toString('base64');
  return async (req, res, refusal) => {
    const requestId = randomBytes(8).toString('hex').toUpperCase();
    const startedAt = o.services.clock.monotonic();
    const log = o.log.child({ requestId });
    const progress: Progress = {
      operation: null,
      target: null,
      origin: null,
      accessKeyId: undefined,
      status: 0,
      errorCode: undefined,
      bytesOut: 0,
    };
    const answer: Answer = {
      requestId,
      hostId,
      resource: pathOf(req.url ?? '/'),
      method: req.method ?? 'GET',
      slowBodyMs: o.slowBodyMs ?? 5_000,
    };
    const gone = new AbortController();
    const deadline = setTimeout(() => gone.abort(new Error('deadline')), LIMITS.requestMsMax);
    res.once('close', () => {
      if (!res.writableFinished) gone.abort(new Error('the client went away'));
    });
    res.on('error', () => {});
    res.setHeader('x-amz-request-id', requestId);
    res.setHeader('x-amz-id-2', hostId);
    res.setHeader('server', 'Antipode');
    try {
      if (refusal) throw refusal;
      const result = await runRequest(o, { req, res, requestId, log, progress, signal: gone.signal });
      leaveUnreadBody(req, res);
      progress.status = result.status;
      progress.bytesOut = await sendResult(res, result, answer);
    } catch (error) {
      answerError(res, req, error, answer, progress, log);
    } finally {
      await endResponse(o, req, res);
      clearTimeout(deadline);
      finish(o, req, progress, requestId, o.services.clock.monotonic() - startedAt, log);
    }
  };
}

function answerError(
  res: ServerResponse,
  req: IncomingMessage,
  error: unknown,
  answer: Answer,
  progress: Progress,
  log: Logger,
): void {
  const slow = error instanceof SlowBodyFailed;
  const shown = toS3Error(slow ? error.cause : error);
  progress.errorCode = shown.code;
  if (error instanceof ResponseBroken || res.destroyed || (res.headersSent && !slow)) {
    progress.status = 499;
    log.warn({ err: error }, 'the answer could not be sent whole');
    res.destroy();
    return;
  }
  progress.status = shown.status;
  if (shown.cause instanceof SignatureMismatch)
    log.warn({ signature: shown.cause.explain() }, 'a signature does not match');
  if (shown.status >= 500 && shown.code !== 'NotImplemented' && shown.code !== 'SlowDown')
    log.error({ err: shown.cause ?? shown, operation: progress.operation?.name }, shown.code);
  if (slow) {
    res.write(errorXml(shown, answer).slice(XML_DECLARATION.length));
    return;
  }
  leaveUnreadBody(req, res);
  // The rest of its body is not waited for.
  if (shown.code === 'RequestTimeout') res.setHeader('connection', 'close');
  sendError(res, shown, answer);
}

/** A request body that is still under way and long, or not yet begun, cannot be followed by another request. */
function leaveUnreadBody(req: IncomingMessage, res: ServerResponse): void {
  // A request without a body is not yet `complete` while its headers are being handled.
  const chunked = req.headers['transfer-encoding'] !== undefined;
  const length = chunked ? Number.POSITIVE_INFINITY : Number(req.headers['content-length'] ?? 0);
  if (req.complete || length === 0) return;
  if (length > KEEP_ALIVE_BODY_BYTES || expectsContinue(req)) res.setHeader('connection', 'close');
}

/**
 * Ends the response. Where the connection is to be closed, the rest of the request is dropped first: closing a socket that
 * holds unread bytes resets it, and the client would never see the answer that was written before.
 */
async function endResponse(o: PipelineOptions, req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (res.destroyed) return;
  if (!req.complete) req.resume();
  if (!req.complete && res.getHeader('connection') === 'close') {
    const bytesMax = o.drainBytesMax ?? 64 * 1024 * 1024;
    await drainRequest(req, { bytesMax, idleMs: o.drainIdleMs ?? 1_000 });
  }
  // The connection may have gone meanwhile, and its end is not told twice.
  if (res.destroyed || res.closed) return;
  await new Promise<void>((resolve) => {
    res.once('close', resolve);
    res.end(() => resolve());
  });
}

const pathOf = (url: string): string => url.split('?', 1)[0]!.slice(0, LIMITS.uriBytesMax);

function finish(
  o: PipelineOptions,
  req: IncomingMessage,
  progress: Progress,
  requestId: string,
  ms: number,
  log: Logger,
): void {
  const operation = progress.operation?.name ?? 'Unknown';
  const bytesIn = Number(req.headers['content-length'] ?? 0) || 0;
  const { status, errorCode, bytesOut, target, origin, accessKeyId } = progress;
  const code = errorCode && { errorCode };
  o.onFinished?.({ requestId, operation, status, ...code, ms, bytesIn, bytesOut });
  log.info(
    {
      operation,
      method: req.method,
      bucket: target?.bucket,
      key: target?.key,
      accessKeyId,
      remote: origin?.ip ?? req.socket.remoteAddress,
      status,
      ...code,
      ms: Math.round(ms * 10) / 10,
      bytesIn,
      bytesOut,
    },
    'request',
  );
}
