/**
 * CORS headers of ordinary answers, results and errors alike: a browser shows a page only what they allow, and that must
 * include why a signature failed. So they are set on the response before anybody is authenticated.
 */
import type { ServerResponse } from 'node:http';
import type { Bucket } from '../../ddm/catalog.ts';
import { requireBucketName } from '../bucket-names.ts';
import type { Services } from '../operation.ts';
import { CORS, type CorsRequest, type CorsRule, corsHeaders, listedHeaders, matchCors } from './rules.ts';

type Headers = Readonly<Record<string, string | undefined>>;

export const corsRules = (bucket: Bucket | null): readonly CorsRule[] =>
  (bucket?.settings[CORS] as readonly CorsRule[] | undefined) ?? [];

/** A request that says which method it asks for is judged by that, as S3 does it. */
export function corsRequest(method: string, headers: Headers): CorsRequest | null {
  const { origin } = headers;
  if (origin === undefined || origin === '') return null;
  return {
    origin,
    method: headers['access-control-request-method'] ?? method,
    headers: listedHeaders(headers['access-control-request-headers']),
  };
}

/**
 * Sets the headers for a request that names its origin. Preflights answer by themselves (ops/cors-preflight.ts).
 * A bucket that cannot be looked up has no rules here; what comes next says why.
 */
export async function answerOrigin(
  services: Pick<Services, 'catalog'>,
  res: ServerResponse,
  request: { readonly method: string; readonly bucketName: string; readonly headers: Headers },
): Promise<void> {
  if (request.headers.origin === undefined || request.method === 'OPTIONS' || request.bucketName === '')
    return;
  const asked = corsRequest(request.method, request.headers);
  if (asked === null) return;
  const bucket = await findBucket(services, request.bucketName).catch(() => null);
  const match = matchCors(corsRules(bucket), asked);
  if (match !== null)
    for (const [name, value] of Object.entries(corsHeaders(match, asked))) res.setHeader(name, value);
  else varyByOrigin(res, bucket);
}

/** Answers without a word about origins must not be given, out of a cache, to a page of another origin. */
export function varyByOrigin(res: ServerResponse, bucket: Bucket | null): void {
  if (corsRules(bucket).length > 0 && !res.hasHeader('vary')) res.setHeader('vary', 'Origin');
}

async function findBucket(services: Pick<Services, 'catalog'>, name: string): Promise<Bucket | null> {
  requireBucketName(name);
  return services.catalog.findBucket(name);
}
