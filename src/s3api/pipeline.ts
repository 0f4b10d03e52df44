/**
 * The life of a request: parse → match → authenticate → load the bucket → authorize → check meaning → body → run → respond.
 * The only place that catches, and (with respond.ts) the only one that touches the socket. `100 Continue` is sent when the
 * body is first read, so after authentication and authorization; a failed request is answered before its body is dropped.
 */
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { LIMITS } from '../base/limits.ts';
import type { Bucket } from '../ddm/catalog.ts';
import type { Authenticated, SignedRequest } from '../identity/types.ts';
import { authorize } from './authorize.ts';
import { requireBucketName } from './bucket-names.ts';
import { S3Error, type S3ErrorCode } from './errors.ts';
import { toS3Error } from './lower-errors.ts';
import { checkMeaning, notImplemented } from './meaning.ts';
import type { OperationContext, OperationRow, RequestBody, Services } from './operation.ts';
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
import { parseTarget, type RequestTarget } from './target.ts';
import { XML_DECLARATION } from './xml.ts';

/** What the pipeline takes from the identity room and from s3api/body. */
export interface RequestReaders {
  authenticate(request: SignedRequest): Promise<Authenticated>;
  openBody(req: IncomingMessage, authenticated: Authenticated, signal: AbortSignal): RequestBody;
  readBody(req: IncomingMessage, authenticated: Authenticated, signal: AbortSignal): Promise<Buffer>;
}

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

/** What is known of a request so far; the access log tells it whatever happens. */
interface Progress {
  operation: OperationRow | null;
  target: RequestTarget | null;
  accessKeyId: string | undefined;
  status: number;
  errorCode: S3ErrorCode | undefined;
  bytesOut: number;
}

export function createPipeline(o: PipelineOptions): Pipeline {
  const hostId = o.hostId ?? randomBytes(36).toString('base64');
  return async (req, res, refusal) => {
    const requestId = randomBytes(8).toString('hex').toUpperCase();
    const startedAt = o.services.clock.monotonic();
    const log = o.log.child({ requestId });
    const progress: Progress = {
      operation: null,
      target: null,
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
      const result = await runRequest(o, req, res, requestId, log, progress, gone.signal);
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

async function runRequest(
  o: PipelineOptions,
  req: IncomingMessage,
  res: ServerResponse,
  requestId: string,
  log: Logger,
  progress: Progress,
  signal: AbortSignal,
) {
  const target = parseTarget(req.url ?? '/', req.headers.host ?? '', o.domains);
  progress.target = target;
  const headers = joinedHeaders(req);
  const operation = o.router.match({
    method: req.method ?? '',
    target: target.kind,
    query: target.query,
    headers,
  });
  progress.operation = operation;
  const authenticated = await authenticateUnlessPreflight(o, req, operation, target);
  const { principal } = authenticated;
  if (principal.kind === 'account') progress.accessKeyId = principal.accessKeyId;

  const authorizeFor = async (permission: string, bucketName: string): Promise<Bucket> => {
    const found = await findBucket(o.services, bucketName);
    if (authorize(permission, principal, found) === 'deny') throw new S3Error('AccessDenied');
    return found;
  };
  let bucket: Bucket | null = null;
  if (target.kind === 'service' || operation.name === 'CreateBucket') {
    if (authorize(operation.permission, principal, null) === 'deny') throw new S3Error('AccessDenied');
  } else if (operation.method === 'OPTIONS') {
    bucket = await findBucket(o.services, target.bucket);
  } else {
    bucket = await authorizeFor(operation.permission, target.bucket);
  }
  if (!operation.run) throw notImplemented(operation.name);
  checkMeaning({ operation, headers, query: target.query, bucket });

  const sayContinue = continuer(req, res);
  const body =
    operation.body === 'stream'
      ? continuing(o.readers.openBody(req, authenticated, signal), sayContinue)
      : null;
  let text = '';
  if (operation.body === 'xml') {
    sayContinue();
    text = utf8(await o.readers.readBody(req, authenticated, signal));
  }
  const context: OperationContext = {
    requestId,
    operation,
    services: o.services,
    log,
    principal,
    bucketName: target.bucket,
    key: target.key,
    bucket,
    query: target.query,
    headers,
    text,
    body,
    signal,
    authorize: async (permission, bucketName) => {
      const source = await authorizeFor(permission, bucketName);
      const expected = headers['x-amz-source-expected-bucket-owner'];
      if (expected !== undefined && expected !== source.owner) throw new S3Error('AccessDenied');
      return source;
    },
  };
  return operation.run(context);
}

async function authenticateUnlessPreflight(
  o: PipelineOptions,
  req: IncomingMessage,
  operation: OperationRow,
  target: RequestTarget,
): Promise<Authenticated> {
  if (operation.method === 'OPTIONS')
    return { principal: { kind: 'anonymous' }, payload: { kind: 'unsigned' }, presigned: false };
  return o.readers.authenticate({
    method: operation.method,
    rawPath: target.rawPath,
    rawQuery: target.rawQuery,
    headers: req.headersDistinct as Readonly<Record<string, readonly string[]>>,
  });
}

async function findBucket(services: Services, name: string): Promise<Bucket> {
  requireBucketName(name);
  const bucket = await services.catalog.findBucket(name);
  if (!bucket) throw new S3Error('NoSuchBucket', { fields: { BucketName: name } });
  return bucket;
}

function joinedHeaders(req: IncomingMessage): Record<string, string | undefined> {
  const headers: Record<string, string | undefined> = {};
  for (const [name, values] of Object.entries(req.headersDistinct)) headers[name] = values?.join(',');
  return headers;
}

function utf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new S3Error('MalformedXML', { cause });
  }
}

const expectsContinue = (req: IncomingMessage): boolean => /100-continue/i.test(req.headers.expect ?? '');

/** @returns a function that sends `100 Continue`, once, when the client waits for it */
function continuer(req: IncomingMessage, res: ServerResponse): () => void {
  return () => {
    if (!expectsContinue(req)) return;
    delete req.headers.expect;
    res.writeContinue();
  };
}

function continuing(body: RequestBody, sayContinue: () => void): RequestBody {
  return {
    length: body.length,
    declaredChecksum: body.declaredChecksum,
    stream: (extra) => {
      sayContinue();
      return body.stream(extra);
    },
    result: () => body.result(),
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
  if (shown.status >= 500 && shown.code !== 'NotImplemented' && shown.code !== 'SlowDown')
    log.error({ err: shown.cause ?? shown, operation: progress.operation?.name }, shown.code);
  if (slow) {
    res.write(errorXml(shown, answer).slice(XML_DECLARATION.length));
    return;
  }
  leaveUnreadBody(req, res);
  sendError(res, shown, answer);
}

/** A request body that is still under way and long, or not yet begun, cannot be followed by another request. */
function leaveUnreadBody(req: IncomingMessage, res: ServerResponse): void {
  if (req.complete) return;
  const length = Number(req.headers['content-length'] ?? Number.POSITIVE_INFINITY);
  if (length > KEEP_ALIVE_BODY_BYTES || expectsContinue(req)) res.setHeader('connection', 'close');
}

/**
 * Ends the response. Where the connection is to be closed, the rest of the request is dropped first: closing a socket that
 * holds unread bytes resets it, and the client would never see the answer that was written before.
 */
async function endResponse(o: PipelineOptions, req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (res.destroyed) return;
  if (!req.complete && res.getHeader('connection') === 'close') {
    const bytesMax = o.drainBytesMax ?? 64 * 1024 * 1024;
    await drainRequest(req, { bytesMax, idleMs: o.drainIdleMs ?? 1_000 });
  }
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
  const { status, errorCode, bytesOut, target, accessKeyId } = progress;
  const code = errorCode && { errorCode };
  o.onFinished?.({ requestId, operation, status, ...code, ms, bytesIn, bytesOut });
  log.info(
    {
      operation,
      method: req.method,
      bucket: target?.bucket,
      key: target?.key,
      accessKeyId,
      remote: req.socket.remoteAddress,
      status,
      ...code,
      ms: Math.round(ms * 10) / 10,
      bytesIn,
      bytesOut,
    },
    'request',
  );
}
