/**
 * From a request to a result: parse → match → authenticate → load the bucket → authorize → check meaning → body → run.
 * Nothing is written here but `100 Continue`, which is sent when the body is first read: after everybody who may not write
 * has been refused. Whatever fails is thrown.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import type { Bucket } from '../ddm/catalog.ts';
import type { FormSigner, FormValues } from '../identity/authenticate-form.ts';
import type { Authenticated, Principal, SignedRequest } from '../identity/types.ts';
import { Access, type Asked, findBucket } from './access/access.ts';
import { actionsOf } from './access/actions.ts';
import { hidingWhatIsMissing } from './access/hide-missing.ts';
import { originOf, type RequestOrigin } from './access/origin.ts';
import type { ProxyRules } from './access/proxies.ts';
import { answerOrigin, varyByOrigin } from './cors/answers.ts';
import { S3Error, type S3ErrorCode } from './errors.ts';
import { checkMeaning, notImplemented } from './meaning.ts';
import type {
  BodyFacts,
  OperationContext,
  OperationResult,
  OperationRow,
  RequestBody,
  Services,
} from './operation.ts';
import type { Router } from './router.ts';
import { parseTarget, type RequestTarget } from './target.ts';
import { siteHostOf, visitSite } from './website/visit.ts';

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
  authenticateForm(form: FormValues): Promise<FormSigner>;
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
  origin: RequestOrigin | null;
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
  readonly proxies: ProxyRules;
  /** Suffixes of hosts that are websites; lower case. */
  readonly websiteDomains: readonly string[];
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
  const origin = originOf(req, o.proxies);
  progress.origin = origin;
  const headers = joinedHeaders(req);
  const host = siteHostOf(req, origin, o.websiteDomains);
  if (host !== null) return visitSite(o, hand, { host, origin, headers });
  const target = parseTarget(req.url ?? '/', origin.host, o.domains);
  progress.target = target;
  const method = req.method ?? '';
  await answerOrigin(o.services, res, { method, bucketName: target.bucket, headers });
  const operation = o.router.match({ method, target: target.kind, query: target.query, headers });
  progress.operation = operation;
  const authenticated = await authenticateUnlessPreflight(o, req, operation, target, origin);
  const { principal } = authenticated;
  if (principal.kind === 'account') progress.accessKeyId = principal.accessKeyId;
  const bucket = await bucketOf(o.services, operation, target);
  varyByOrigin(res, bucket);
  const { services } = o;
  const access = new Access({
    services,
    log: hand.log,
    principal,
    facts: {
      operation: operation.name,
      headers,
      query: target.query,
      authenticated,
      origin,
      now: services.clock.now(),
      region: services.region,
    },
  });
  const asking = { access, operation, principal, bucket, target, headers };
  const afterBody = operation.bodyFacts !== undefined && mayDependOnBody(principal, bucket);
  if (!afterBody) await admit(asking, {});
  if (!operation.run) throw notImplemented(operation.name);
  const { storageClasses } = o.services;
  checkMeaning({ operation, headers, query: target.query, bucket, storageClasses });
  const reading: BodyReading = {
    signal,
    onFirstRead: continuer(req, res),
    checksumRequired: operation.checksumRequired ?? false,
  };
  const text =
    operation.body === 'xml'
      ? utf8(await o.readers.readBody(req, headersOfBody(operation, headers), authenticated, reading))
      : '';
  if (afterBody) await admit(asking, factsOf(operation, text));
  const context: OperationContext = {
    requestId: hand.requestId,
    operation,
    services,
    log: hand.log,
    principal,
    bucketName: target.bucket,
    key: target.key,
    bucket,
    query: target.query,
    headers,
    text,
    body: operation.body === 'stream' ? o.readers.openBody(req, headers, authenticated, reading) : null,
    signal,
    origin,
    authenticateForm: async (form) => {
      const signer = await o.readers.authenticateForm(form);
      if (signer.principal.kind === 'account') progress.accessKeyId = signer.principal.accessKeyId;
      return signer;
    },
    authorize: async (action, bucketName, key, more) => {
      const named =
        bucketName === target.bucket && bucket !== null ? bucket : await findBucket(services, bucketName);
      await access.require({ action, bucket: named, bucketName, key, ...(more && { more }) });
      return named;
    },
    allows: (action, key, more) =>
      access.allows({ action, bucket, bucketName: target.bucket, key, ...(more && { more }) }),
  };
  return hidingWhatIsMissing(context, () => operation.run!(context));
}

/** Without policies nothing that a body says changes the answer, which then comes before the body is read. */
const mayDependOnBody = (principal: Principal, bucket: Bucket | null): boolean =>
  (principal.kind === 'account' && principal.identity !== undefined) || bucket?.settings.policy !== undefined;

function factsOf(operation: OperationRow, text: string): BodyFacts {
  try {
    return operation.bodyFacts!(text);
  } catch {
    return {};
  }
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
  origin: RequestOrigin,
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
    ...(origin.hosts.length > 0 && { hosts: origin.hosts }),
  });
}

/** @returns the bucket, null where the operation has none. @throws {S3Error} NoSuchBucket, InvalidBucketName */
async function bucketOf(
  services: Services,
  operation: OperationRow,
  target: RequestTarget,
): Promise<Bucket | null> {
  if (target.kind === 'service' || operation.name === 'CreateBucket') return null;
  return findBucket(services, target.bucket);
}

interface Asking {
  readonly access: Access;
  readonly operation: OperationRow;
  readonly principal: Principal;
  readonly bucket: Bucket | null;
  readonly target: RequestTarget;
  readonly headers: RequestHeaders;
}

/** @throws {S3Error} AccessDenied */
async function admit(asking: Asking, facts: BodyFacts): Promise<void> {
  const { access, operation, principal, bucket, target, headers } = asking;
  if (operation.method === 'OPTIONS' || operation.asksItself) return;
  // What is not supported says so.
  if (!operation.run && principal.kind === 'anonymous') return;
  const versionId = operation.target === 'object' ? target.query.get('versionId') : undefined;
  const more = { ...facts, ...(versionId !== undefined && { versionId }) };
  const reading =
    operation.target === 'object' && (operation.method === 'GET' || operation.method === 'HEAD');
  const ask = (asked: Asked) => (reading ? access.requireReading(asked) : access.require(asked));
  for (const action of actionsOf(operation, headers, target.query, bucket?.owner ?? ''))
    await ask({ action, bucket, bucketName: target.bucket, key: target.key, more });
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
