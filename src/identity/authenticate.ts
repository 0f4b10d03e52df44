/**
 * Says who sent a request: verifies Signature Version 4, in the Authorization header or in a presigned URL, over the
 * raw path and raw query. A request without any signature is anonymous. What is wrong is refused with AWS's codes and
 * words (AuthError). Bodies are not read here: the PayloadMode says how they are to be verified.
 */
import { createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { LIMITS } from '../base/limits.ts';
import { AuthError, mechanismNotSupported, signatureDoesNotMatch } from './errors.ts';
import { explainMismatch } from './explain-mismatch.ts';
import { findSigner, type SignerDeps } from './signer.ts';
import { canonicalRequest, hmacHex, stringToSign } from './sigv4/canonical.ts';
import {
  type Claim,
  credentialDateMismatch,
  parseAuthorizationHeader,
  parsePresignedQuery,
} from './sigv4/credentials.ts';
import { isoBasic, isoSeconds, parseRequestDate } from './sigv4/dates.ts';
import { parsePayloadHash, UNSIGNED_PAYLOAD } from './sigv4/payload.ts';
import { SigningKeyCache } from './sigv4/signing-key.ts';
import type { Authenticated, SignedRequest } from './types.ts';

export interface AuthenticateDeps extends SignerDeps {
  readonly clock: Clock;
  /** null: whatever region the client has signed for. */
  readonly region: string | null;
  /** All but `s3` want the hash of every payload. */
  readonly service: 's3' | 'antipode' | 'iam' | 'sts';
  /** Hex; for services whose clients do not say it in a header. */
  readonly bodySha256?: string;
}

/** One cache for each store: a store is told by its `openSecret`. */
const caches = new WeakMap<AuthenticateDeps['openSecret'], SigningKeyCache>();

export function signingKeys(deps: Pick<AuthenticateDeps, 'openSecret'>): SigningKeyCache {
  let cache = caches.get(deps.openSecret);
  if (!cache) {
    cache = new SigningKeyCache();
    caches.set(deps.openSecret, cache);
  }
  return cache;
}

/** Takes the place of the key that nobody has, so that an unknown key costs what a wrong signature costs. */
export const decoyKey: KeyObject = createSecretKey(randomBytes(32));

/**
 * @throws {AuthError} when the request is not to be believed
 * @throws what `findAccessKey` throws (the catalog does not answer)
 */
export async function authenticate(req: SignedRequest, deps: AuthenticateDeps): Promise<Authenticated> {
  const query = parseQuery(req.rawQuery);
  const header = single(req, 'authorization') ?? '';
  const presigned = isPresigned(query);
  if (query.has('Signature') && query.has('AWSAccessKeyId')) throw mechanismNotSupported();
  if (presigned && header !== '')
    throw new AuthError(
      'InvalidArgument',
      'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified',
      { ArgumentName: 'Authorization' },
    );
  if (!presigned && header === '') return anonymous(req);
  const token = (presigned ? query.get('X-Amz-Security-Token') : null) ?? single(req, 'x-amz-security-token');
  return presigned ? byQuery(req, query, token, deps) : byHeader(req, header, token, deps);
}

function isPresigned(query: ReadonlyMap<string, string>): boolean {
  return query.has('X-Amz-Algorithm') || query.has('X-Amz-Credential') || query.has('X-Amz-Signature');
}

function anonymous(req: SignedRequest): Authenticated {
  const value = single(req, 'x-amz-content-sha256');
  return {
    principal: { kind: 'anonymous' },
    payload: value ? parsePayloadHash(value, null) : { kind: 'unsigned' },
    presigned: false,
  };
}

async function byHeader(
  req: SignedRequest,
  header: string,
  token: string | undefined,
  deps: AuthenticateDeps,
): Promise<Authenticated> {
  const claim = parseAuthorizationHeader(header, deps);
  const date = parseRequestDate(single(req, 'x-amz-date') || single(req, 'date') || '');
  if (date === null)
    throw new AuthError('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  const { timeMs, timestamp } = date;
  const nowMs = deps.clock.now();
  if (Math.abs(nowMs - timeMs) > LIMITS.clockSkewMs) throw tooSkewed(timeMs, nowMs);
  if (timestamp.slice(0, 8) !== claim.date) throw credentialDateMismatch(claim, timestamp.slice(0, 8));
  const payloadHash = single(req, 'x-amz-content-sha256') || deps.bodySha256;
  if (!payloadHash)
    throw new AuthError('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  if (deps.service !== 's3' && !/^[0-9a-f]{64}$/.test(payloadHash))
    throw new AuthError('InvalidRequest', 'The value of x-amz-content-sha256 header is invalid.');
  return verify({ req, claim, token, timestamp, timeMs, payloadHash, presigned: false, deps });
}

async function byQuery(
  req: SignedRequest,
  query: ReadonlyMap<string, string>,
  token: string | undefined,
  deps: AuthenticateDeps,
): Promise<Authenticated> {
  const claim = parsePresignedQuery(query, deps, LIMITS.presignSecondsMax);
  const nowMs = deps.clock.now();
  if (claim.timeMs > nowMs + LIMITS.clockSkewMs)
    throw new AuthError('AccessDenied', 'Request is not valid yet', { ServerTime: isoSeconds(nowMs) });
  const expiresMs = claim.timeMs + claim.expiresSeconds * 1000;
  if (expiresMs <= nowMs)
    throw new AuthError('AccessDenied', 'Request has expired', {
      'X-Amz-Expires': String(claim.expiresSeconds),
      Expires: isoSeconds(expiresMs),
      ServerTime: isoSeconds(nowMs),
    });
  const inHeader = claim.signedHeaders.includes('x-amz-content-sha256')
    ? single(req, 'x-amz-content-sha256')
    : undefined;
  const payloadHash = query.get('X-Amz-Content-Sha256') || inHeader || deps.bodySha256 || UNSIGNED_PAYLOAD;
  if (deps.service !== 's3' && payloadHash === UNSIGNED_PAYLOAD && req.method !== 'GET')
    throw new AuthError('InvalidRequest', 'The value of x-amz-content-sha256 header is invalid.');
  const { timestamp, timeMs } = claim;
  return verify({ req, claim, token, timestamp, timeMs, payloadHash, presigned: true, deps });
}

const tooSkewed = (timeMs: number, nowMs: number): AuthError =>
  new AuthError(
    'RequestTimeTooSkewed',
    'The difference between the request time and the current time is too large.',
    {
      RequestTime: isoBasic(timeMs),
      ServerTime: isoSeconds(nowMs),
      MaxAllowedSkewMilliseconds: String(LIMITS.clockSkewMs),
    },
  );

/** The host and all x-amz-* headers must be signed; others need not be. */
function refuseUnsignedHeaders(req: SignedRequest, signedHeaders: readonly string[]): void {
  const unsigned = Object.keys(req.headers).filter(
    (name) => (name === 'host' || name.startsWith('x-amz-')) && !signedHeaders.includes(name),
  );
  if (unsigned.length > 0)
    throw new AuthError('AccessDenied', 'There were headers present in the request which were not signed', {
      HeadersNotSigned: unsigned.join(', '),
    });
}

async function verify(o: {
  req: SignedRequest;
  claim: Claim;
  token: string | undefined;
  timestamp: string;
  timeMs: number;
  payloadHash: string;
  presigned: boolean;
  deps: AuthenticateDeps;
}): Promise<Authenticated> {
  const { req, claim, timestamp, payloadHash, deps } = o;
  const signer = await findSigner(deps, claim.accessKeyId, o.token);
  const signingKey = signer
    ? signingKeys(deps).get(claim.accessKeyId, signer.sealed, claim.scope, () => signer.open())
    : decoyKey;
  const input = { ...req, signedHeaders: claim.signedHeaders, payloadHash };
  const canonical = canonicalRequest(input);
  const toSign = stringToSign(timestamp, claim.scope, canonical);
  const matches =
    equalHex(hmacHex(signingKey, toSign), claim.signature) ||
    (req.hosts ?? []).some((host) => {
      const renamed = canonicalRequest({ ...input, headers: { ...req.headers, host: [host] } });
      return equalHex(hmacHex(signingKey, stringToSign(timestamp, claim.scope, renamed)), claim.signature);
    });
  if (!signer)
    throw new AuthError(
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
      { AWSAccessKeyId: claim.accessKeyId },
    );
  const seed = { signingKey, seedSignature: claim.signature, scope: claim.scope, timestamp };
  const payload = parsePayloadHash(payloadHash, seed);
  refuseUnsignedHeaders(req, claim.signedHeaders);
  if (!matches)
    throw signatureDoesNotMatch(
      {
        accessKeyId: claim.accessKeyId,
        stringToSign: toSign,
        signature: claim.signature,
        canonicalRequest: canonical,
      },
      () => {
        const { signedHeaders, scope, signature } = claim;
        return explainMismatch({ req, signedHeaders, payloadHash, timestamp, scope, signingKey, signature });
      },
    );
  return {
    principal: signer.principal,
    payload,
    presigned: o.presigned,
    signedAt: o.timeMs,
  };
}

/** Constant time for texts of the same length; both are hex, so lengths are no secret. */
export function equalHex(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1'));
}

function single(req: SignedRequest, name: string): string | undefined {
  return Object.hasOwn(req.headers, name) ? req.headers[name]!.join(',').trim() : undefined;
}

/** The first value of each parameter, decoded; what is no valid escape stands for itself. */
function parseQuery(rawQuery: string): ReadonlyMap<string, string> {
  const query = new Map<string, string>();
  if (rawQuery === '') return query;
  for (const [name, value] of new URLSearchParams(rawQuery)) if (!query.has(name)) query.set(name, value);
  return query;
}
