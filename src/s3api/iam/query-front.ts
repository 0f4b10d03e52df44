/**
 * The query APIs of IAM and STS on the S3 port: requests at `/` that are forms (or name an Action in the query), answered in
 * XML. Read → match → authenticate → run → answer → log; nothing of a body is ever logged. Source: "Making query requests",
 * IAM User Guide.
 */
import { hash, randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { LIMITS } from '../../base/limits.ts';
import { type AuthenticateDeps, authenticate } from '../../identity/authenticate.ts';
import type { Sessions } from '../../identity/sessions.ts';
import type { Principal } from '../../identity/types.ts';
import { originOf, type RequestOrigin } from '../access/origin.ts';
import type { ProxyRules } from '../access/proxies.ts';
import { requestContext } from '../access/request-context.ts';
import type { Services } from '../operation.ts';
import type { FinishedRequest, Pipeline } from '../pipeline.ts';
import { drainRequest } from '../respond.ts';
import { expectsContinue } from '../run-request.ts';
import { bucketOfHost } from '../target.ts';
import { type QueryAction, VERSIONS } from './action.ts';
import { answerXml, errorXml } from './documents.ts';
import { QueryError, toQueryError } from './errors.ts';
import { Parameters } from './parameters.ts';
import { requireAllowed } from './permission.ts';
import { QUERY_ACTIONS } from './table.ts';

/** What the query APIs need beside what S3 has. */
export interface IdentityApi {
  readonly signing: Pick<AuthenticateDeps, 'findAccessKey' | 'openSecret' | 'clock'>;
  readonly sessions: Sessions;
  readonly sealSecret: (secret: string, accessKeyId: string) => Buffer;
}

export interface QueryFrontOptions {
  readonly api: IdentityApi;
  readonly services: Services;
  readonly proxies: ProxyRules;
  readonly log: Logger;
  readonly onFinished?: (finished: FinishedRequest) => void;
}

const ACTIONS = new Map(QUERY_ACTIONS.map((action) => [action.name, action]));
const BODY_MS = 30_000;
const DRAIN = { bytesMax: 1024 * 1024, idleMs: 1_000 };

/** Whether a request is one of the query APIs', which S3 knows nothing of: at `/`, not of a bucket's host. */
export function isQueryRequest(
  req: IncomingMessage,
  o: {
    readonly proxies: ProxyRules;
    readonly domains: readonly string[];
    readonly websiteDomains: readonly string[];
  },
): boolean {
  const [path, query = ''] = (req.url ?? '').split('?', 2);
  const domains = [...o.domains, ...o.websiteDomains];
  if (path !== '/' || bucketOfHost(originOf(req, o.proxies).host, domains) !== null) return false;
  if (req.method === 'POST' && isForm(req)) return true;
  const names = new URLSearchParams(query);
  return (req.method === 'POST' || req.method === 'GET') && names.has('Action') && names.has('Version');
}

const isForm = (req: IncomingMessage): boolean =>
  /^application\/x-www-form-urlencoded\s*(;|$)/i.test(req.headers['content-type'] ?? '');

interface Progress {
  action: QueryAction | null;
  accessKeyId: string | undefined;
  /** Looked at while there is a socket. */
  readonly origin: RequestOrigin;
}

export function createQueryFront(o: QueryFrontOptions): Pipeline {
  return async (req, res, refusal) => {
    const requestId = randomUUID();
    const log = o.log.child({ requestId });
    const startedAt = o.services.clock.monotonic();
    const origin = originOf(req, o.proxies);
    const progress: Progress = { action: null, accessKeyId: undefined, origin };
    res.on('error', () => {});
    res.setHeader('x-amzn-requestid', requestId);
    res.setHeader('server', 'Antipode');
    let status = 200;
    let error: QueryError | undefined;
    let text: string;
    try {
      if (refusal) throw refusal;
      const result = await run(o, req, res, progress);
      text = answerXml(progress.action!, result, requestId);
    } catch (cause) {
      error = toQueryError(cause);
      status = error.status;
      if (status >= 500 && status !== 501) log.error({ err: error.cause ?? error }, error.code);
      text = errorXml(progress.action?.service ?? 'iam', error, requestId);
    }
    await send(req, res, status, text);
    const ms = o.services.clock.monotonic() - startedAt;
    finish(o, req, { requestId, status, ms, bytesOut: Buffer.byteLength(text), error }, progress, log);
  };
}

async function run(
  o: QueryFrontOptions,
  req: IncomingMessage,
  res: ServerResponse,
  progress: Progress,
): Promise<string | null> {
  const [, rawQuery = ''] = (req.url ?? '').split('?', 2);
  const body = await readBody(req, res);
  const parameters = new Parameters(rawQuery, isForm(req) ? body.toString('latin1') : '');
  const action = actionOf(parameters);
  progress.action = action;
  const { origin } = progress;
  const signed = {
    ...{ method: req.method ?? '', rawPath: '/', rawQuery },
    headers: req.headersDistinct as Readonly<Record<string, readonly string[]>>,
    ...(origin.hosts.length > 0 && { hosts: origin.hosts }),
  };
  const bodySha256 = hash('sha256', body, 'hex');
  const { principal, payload, ...how } = await authenticate(signed, {
    ...{ ...o.api.signing, sessions: o.api.sessions },
    ...{ service: action.service, region: null, bodySha256 },
  });
  if (principal.kind !== 'account')
    throw new QueryError('MissingAuthenticationToken', 'Request is missing Authentication Token');
  progress.accessKeyId = principal.accessKeyId;
  if (payload.kind !== 'sha256' || payload.hex !== bodySha256)
    throw new QueryError('SignatureDoesNotMatch', 'The body is not the one that was signed.');
  parameters.requireKnown(action.name, action.parameters);
  const facts = factsOf(o, req, action, principal, how, origin);
  return action.run({
    ...{ action, parameters, principal, account: principal.account, facts },
    temporary: isTemporary(req, rawQuery),
    catalog: o.services.catalog,
    clock: o.services.clock,
    sessions: o.api.sessions,
    sealSecret: o.api.sealSecret,
    authorize: (resource) =>
      requireAllowed({
        ...{ principal, resource, context: facts },
        action: `${action.service}:${action.name}`,
      }),
  });
}

const isTemporary = (req: IncomingMessage, rawQuery: string): boolean =>
  req.headers['x-amz-security-token'] !== undefined ||
  new URLSearchParams(rawQuery).has('X-Amz-Security-Token');

function actionOf(parameters: Parameters): QueryAction {
  const name = parameters.raw('Action');
  if (!name)
    throw new QueryError('MissingAction', 'The request is missing an action or a required parameter: Action');
  const version = parameters.raw('Version') ?? '';
  const action = ACTIONS.get(name);
  if (action && version === VERSIONS[action.service]) return action;
  const shown = [name, version].map((text) => text.replace(/[^\w.-]/g, '?').slice(0, 64));
  throw new QueryError(
    'InvalidAction',
    `Could not find operation ${shown[0]} for version ${shown[1]}: this store does not have it.`,
  );
}

function factsOf(
  o: QueryFrontOptions,
  req: IncomingMessage,
  action: QueryAction,
  principal: Principal,
  how: { readonly presigned: boolean; readonly signedAt?: number },
  origin: RequestOrigin,
) {
  const headers: Record<string, string | undefined> = {};
  for (const name of ['referer', 'user-agent']) headers[name] = req.headersDistinct[name]?.join(',');
  const { clock, region } = o.services;
  const request = { operation: action.name, headers, query: new Map(), authenticated: how, origin };
  return requestContext({ ...request, now: clock.now(), region }, principal, null);
}

/** Whole and bounded: nothing is believed before its signature, which covers the body, has been verified. */
async function readBody(req: IncomingMessage, res: ServerResponse): Promise<Buffer> {
  if (expectsContinue(req)) res.writeContinue();
  const chunks: Buffer[] = [];
  let bytes = 0;
  const deadline = setTimeout(() => req.destroy(), BODY_MS);
  try {
    for await (const chunk of req as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > LIMITS.queryBodyBytesMax)
        throw new QueryError('MalformedInput', 'The request is too large.');
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof QueryError) throw cause;
    throw new QueryError('MalformedInput', 'The request could not be read.', { cause });
  } finally {
    clearTimeout(deadline);
  }
  return Buffer.concat(chunks);
}

async function send(req: IncomingMessage, res: ServerResponse, status: number, text: string): Promise<void> {
  if (res.destroyed) return;
  const body = Buffer.from(text);
  if (!req.complete) res.setHeader('connection', 'close');
  res.writeHead(status, { 'content-type': 'text/xml', 'content-length': body.length });
  res.write(body);
  if (!req.complete) await drainRequest(req, DRAIN);
  await new Promise<void>((resolve) => {
    res.once('close', resolve);
    res.end(() => resolve());
  });
}

interface Finish {
  readonly requestId: string;
  readonly status: number;
  readonly ms: number;
  readonly bytesOut: number;
  readonly error: QueryError | undefined;
}

function finish(
  o: QueryFrontOptions,
  req: IncomingMessage,
  f: Finish,
  progress: Progress,
  log: Logger,
): void {
  const { action, accessKeyId } = progress;
  const operation = action ? `${action.service}:${action.name}` : 'Unknown';
  const bytesIn = Number(req.headers['content-length'] ?? 0) || 0;
  const { status, ms, bytesOut, requestId } = f;
  o.onFinished?.({ requestId, operation, status, ms, bytesIn, bytesOut });
  const errorCode = f.error && { errorCode: f.error.code };
  const remote = progress.origin.ip;
  log.info(
    { operation, accessKeyId, remote, status, ...errorCode, ms: Math.round(ms * 10) / 10, bytesIn, bytesOut },
    'request',
  );
}
