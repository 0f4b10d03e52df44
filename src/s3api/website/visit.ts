/** From a request to a website's host to the context in which it is served: nobody is asked who he is. */
import type { IncomingMessage } from 'node:http';
import { Access, findBucket } from '../access/access.ts';
import type { RequestOrigin } from '../access/origin.ts';
import { answerOrigin, varyByOrigin } from '../cors/answers.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext, OperationResult } from '../operation.ts';
import type { RequestHeaders, RequestInHand, Surroundings } from '../run-request.ts';
import { bucketOfHost, parseTarget, type RequestTarget } from '../target.ts';
import { serveWebsite, WEBSITE_GET, WEBSITE_HEAD } from './serve.ts';

/** The host by which a request calls a website, null where it calls none. */
export function siteHostOf(
  req: IncomingMessage,
  origin: RequestOrigin,
  domains: readonly string[],
): string | null {
  if (domains.length === 0) return null;
  const names = [req.headers.host ?? '', origin.host];
  return names.find((host) => bucketOfHost(host, domains) !== null) ?? null;
}

export function visitSite(
  o: Surroundings,
  hand: RequestInHand,
  visitor: { readonly host: string; readonly origin: RequestOrigin; readonly headers: RequestHeaders },
): Promise<OperationResult> {
  const { req, res, progress } = hand;
  const { host, headers } = visitor;
  const origin: RequestOrigin = { ...visitor.origin, host };
  const method = req.method ?? '';
  progress.operation = method === 'HEAD' ? WEBSITE_HEAD : WEBSITE_GET;
  const url = req.url ?? '/';
  return serveWebsite({
    method,
    rawQuery: url.includes('?') ? url.slice(url.indexOf('?') + 1) : '',
    ids: { requestId: hand.requestId, hostId: String(res.getHeader('x-amz-id-2') ?? '') },
    open: async () => {
      const target = parseTarget(url, host, o.websiteDomains);
      progress.target = target;
      await answerOrigin(o.services, res, { method, bucketName: target.bucket, headers });
      const ctx = await contextOf(o, hand, { target, origin, headers });
      varyByOrigin(res, ctx.bucket);
      return ctx;
    },
  });
}

const NO_QUERY: ReadonlyMap<string, string> = new Map();

async function contextOf(
  o: Surroundings,
  hand: RequestInHand,
  visit: { readonly target: RequestTarget; readonly origin: RequestOrigin; readonly headers: RequestHeaders },
): Promise<OperationContext> {
  const { services } = o;
  const { target, origin, headers } = visit;
  const bucketName = target.bucket;
  const bucket = await findBucket(services, bucketName);
  const operation = hand.progress.operation!;
  const principal = { kind: 'anonymous' } as const;
  const access = new Access({
    services,
    log: hand.log,
    principal,
    facts: {
      operation: operation.name,
      headers,
      query: NO_QUERY,
      authenticated: { presigned: false },
      origin,
      now: services.clock.now(),
      region: services.region,
    },
  });
  return {
    requestId: hand.requestId,
    operation,
    services,
    log: hand.log,
    principal,
    bucketName,
    key: target.key,
    bucket,
    query: NO_QUERY,
    headers,
    text: '',
    body: null,
    signal: hand.signal,
    origin,
    authenticateForm: () => Promise.reject(new S3Error('AccessDenied')),
    authorize: async (action, _name, key, more) => {
      await access.require({ action, bucket, bucketName, key, ...(more && { more }) });
      return bucket;
    },
    allows: (action, key, more) => access.allows({ action, bucket, bucketName, key, ...(more && { more }) }),
  };
}
