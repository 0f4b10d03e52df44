/**
 * From a request to a result: parse → match → authenticate → load the bucket → authorize → check meaning → body → run.
 * Nothing is written here but `100 Continue`, which is sent when the body is first read: after everybody who may not write
 * has been refused. Whatever fails is thrown.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { Bucket } from '../ddm/catalog.ts';
import type { Authenticated, Principal, SignedRequest } from '../identity/types.ts';
import { authorize } from './authorize.ts';
import { requireBucketName } from './bucket-names.ts';
import { S3Error, type S3ErrorCode } from './errors.ts';
import { checkMeaning, notImplemented } from './meaning.ts';
import type { OperationContext, OperationResult, OperationRow, RequestBody, Services } from './operation.ts';
import type { Router } from './router.ts';
import { parseTarget, type RequestTarget } from './target.ts';

export type RequestHeaders = Readonly<Record<string, string | undefined>>;

export interface BodyReading {
  readonly signal: AbortSignal;
  /** Called once, before the first byte is waited for. */
  readonly onFirstRead: () => void;
  readonly checksumRequired?: boolean;
}

/** What is taken from the identity room and from s3api/body. */
export interface RequestReaders {
  authenticate(request: SignedRequest): Promise<Authenticated>;
  openBody(
    req: IncomingMessage,
    headers: RequestHeaders,
    authenticated: Authenticated,
    reading: BodyReading,
  ): RequestBody;
  readBody(
    req: IncomingMessage,
    headers: RequestHeaders,
    authenticated: Authenticated,
    reading: BodyReading,
  ): Promise<Buffer>;
}

/** What is known of a request so far; the access log tells it whatever happens. */
export interface Progress {
  operation: OperationRow | null;
  target: RequestTarget | null;
  accessKeyId: string | undefined;
  status: number;
  errorCode: S3ErrorCode | undefined;
  bytesOut: number;
}

export interface Surroundings {
  readonly services: Services;
  readonly readers: RequestReaders;
  readonly router: Router;
  readonly domains: readonly string[];
}

export interface RequestInHand {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly requestId: string;
  readonly log: Logger;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

export async function runRequest(o: Surroundings, hand: RequestInHand): Promise<OperationResult> {
  const { req, res, progress, signal } = hand;
  const target = parseTarget(req.url ?? '/', req.headers.host ?? '', o.domains);
  progress.target = target;
  const headers = joinedHeaders(req);
  const method = req.method ?? '';
  const operation = o.router.match({ method, target: target.kind, query: target.query, headers });
  progress.operation = operation;
  const authenticated = await authenticateUnlessPreflight(o, req, operation, target);
  const { principal } = authenticated;
  if (principal.kind === 'account') progress.accessKeyId = principal.accessKeyId;
  const bucket = await admit(o.services, operation, principal, target);
  if (!operation.run) throw notImplemented(operation.name);
  checkMeaning({ operation, headers, query: target.query, bucket });
  const reading: BodyReading = {
    signal,
    onFirstRead: continuer(req, res),
    checksumRequired: operation.checksumRequired ?? false,
  };
  const context: OperationContext = {
    requestId: hand.requestId,
    operation,
    services: o.services,
    log: hand.log,
    principal,
    bucketName: target.bucket,
    key: target.key,
    bucket,
    query: target.query,
    headers,
    text:
      operation.body === 'xml'
        ? utf8(await o.readers.readBody(req, headersOfBody(operation, headers), authenticated, reading))
        : '',
    body: operation.body === 'stream' ? o.readers.openBody(req, headers, authenticated, reading) : null,
    signal,
    authorize: (permission, bucketName) =>
      admitToSource(o.services, permission, principal, bucketName, headers),
  };
  return operation.run(context);
}

function headersOfBody(operation: OperationRow, headers: RequestHeaders): RequestHeaders {
  if (!operation.checksumsOfObject) return headers;
  const ofObject = (name: string) =>
    name.startsWith('x-amz-checksum-') || name === 'x-amz-sdk-checksum-algorithm';
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ofObject(name)));
}

function authenticateUnlessPreflight(
  o: Surroundings,
  req: IncomingMessage,
  operation: OperationRow,
  target: RequestTarget,
): Promise<Authenticated> {
  if (operation.method === 'OPTIONS') {
    return Promise.resolve({
      principal: { kind: 'anonymous' },
      payload: { kind: 'unsigned' },
      presigned: false,
    });
  }
  return o.readers.authenticate({
    method: operation.method,
    rawPath: target.rawPath,
    rawQuery: target.rawQuery,
    headers: req.headersDistinct as Readonly<Record<string, readonly string[]>>,
  });
}

/** @returns the bucket, null where the operation has none. @throws {S3Error} AccessDenied, NoSuchBucket, InvalidBucketName */
async function admit(
  services: Services,
  operation: OperationRow,
  principal: Principal,
  target: RequestTarget,
): Promise<Bucket | null> {
  const withoutBucket = target.kind === 'service' || operation.name === 'CreateBucket';
  const bucket = withoutBucket ? null : await findBucket(services, target.bucket);
  if (operation.method === 'OPTIONS') return bucket;
  // A form carries its signature in its body: who sends one is not known, and what is not supported says so.
  if (!operation.run && principal.kind === 'anonymous') return bucket;
  requireAllowed(operation.permission, principal, bucket);
  return bucket;
}

/** CopyObject and UploadPartCopy read from a second bucket. */
async function admitToSource(
  services: Services,
  permission: string,
  principal: Principal,
  bucketName: string,
  headers: RequestHeaders,
): Promise<Bucket> {
  const bucket = await findBucket(services, bucketName);
  requireAllowed(permission, principal, bucket);
  const expected = headers['x-amz-source-expected-bucket-owner'];
  if (expected !== undefined && expected !== bucket.owner) throw new S3Error('AccessDenied');
  return bucket;
}

function requireAllowed(permission: string, principal: Principal, bucket: Bucket | null): void {
  if (authorize(permission, principal, bucket) === 'deny') throw new S3Error('AccessDenied');
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

/** Whether the client waits for `100 Continue` and has not been given it. */
export const expectsContinue = (req: IncomingMessage): boolean =>
  /100-continue/i.test(req.headers.expect ?? '');

function continuer(req: IncomingMessage, res: ServerResponse): () => void {
  return () => {
    if (!expectsContinue(req)) return;
    delete req.headers.expect;
    res.writeContinue();
  };
}
