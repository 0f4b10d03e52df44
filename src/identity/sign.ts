/**
 * The client's side of Signature Version 4, for the command line, tests and bench: signed headers and presigned URLs.
 * The caller gives the path already encoded as it goes over the wire (see {@link encodePath}). Bodies in chunks:
 * aws-chunked.ts. Checked against AWS's published examples and against the AWS SDK and botocore.
 */
import { hash } from 'node:crypto';
import { canonicalQuery, canonicalRequest, hmacHex, stringToSign } from './sigv4/canonical.ts';
import { isoBasic } from './sigv4/dates.ts';
import type { ChunkSeed } from './sigv4/payload.ts';
import { UNSIGNED_PAYLOAD } from './sigv4/payload.ts';
import { deriveSigningKey, scopeOf } from './sigv4/signing-key.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface SigningInput {
  readonly method: string;
  /** Encoded as on the request line, without the query. */
  readonly path: string;
  /** Encoded as on the request line, without '?'. */
  readonly query?: string;
  /** Must hold `host`. All of them are signed but those that proxies change. */
  readonly headers: Readonly<Record<string, string>>;
  /** The body, or what x-amz-content-sha256 is to say of it (a hash in hex, UNSIGNED-PAYLOAD, STREAMING-…). */
  readonly payload?: Buffer | { readonly hash: string };
  readonly credentials: Credentials;
  readonly region: string;
  readonly service: 's3' | 'antipode' | 'iam' | 'sts';
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

export interface SignedHeaders {
  /** The given headers (lower case) with x-amz-date, x-amz-content-sha256 and authorization. */
  readonly headers: Readonly<Record<string, string>>;
  /** What signs the chunks of a body in STREAMING-AWS4-HMAC-SHA256-PAYLOAD form. */
  readonly seed: ChunkSeed;
}

const UNSIGNED_HEADERS = new Set([
  'authorization',
  'connection',
  'expect',
  'transfer-encoding',
  'user-agent',
]);

/** Node writes header texts as latin1: a text beyond it travels as its UTF-8 bytes. */
const wireText = (text: string): string => Buffer.from(text, 'utf8').toString('latin1');

const lowerCase = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));

const asLists = (headers: Record<string, string>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value]]));

function payloadHashOf(payload: SigningInput['payload']): string {
  if (payload === undefined) return hash('sha256', '', 'hex');
  return Buffer.isBuffer(payload) ? hash('sha256', payload, 'hex') : payload.hash;
}

function signatureOf(
  o: SigningInput,
  parts: { timestamp: string; query: string; headers: Record<string, string>; payloadHash: string },
) {
  const signedHeaders = Object.keys(parts.headers)
    .filter((name) => !UNSIGNED_HEADERS.has(name))
    .sort();
  const scope = scopeOf(parts.timestamp.slice(0, 8), o.region, o.service);
  const signingKey = deriveSigningKey(o.credentials.secretAccessKey, scope);
  const query = (signed: string) => parts.query.replace('{SIGNED-HEADERS}', encodeComponent(signed));
  const canonical = canonicalRequest({
    method: o.method,
    rawPath: o.path,
    rawQuery: query(signedHeaders.join(';')),
    headers: asLists(parts.headers),
    signedHeaders,
    payloadHash: parts.payloadHash,
  });
  const signature = hmacHex(signingKey, stringToSign(parts.timestamp, scope, canonical));
  return { signature, signedHeaders: signedHeaders.join(';'), scope, signingKey };
}

/** Signs in the Authorization header. */
export function signRequest(o: SigningInput): SignedHeaders {
  const timestamp = isoBasic(o.nowMs);
  const payloadHash = payloadHashOf(o.payload);
  const headers: Record<string, string> = {
    ...lowerCase(o.headers),
    'x-amz-date': timestamp,
    'x-amz-content-sha256': payloadHash,
    ...(o.credentials.sessionToken && { 'x-amz-security-token': o.credentials.sessionToken }),
  };
  const { signature, signedHeaders, scope, signingKey } = signatureOf(o, {
    timestamp,
    query: o.query ?? '',
    headers,
    payloadHash,
  });
  headers.authorization = `AWS4-HMAC-SHA256 Credential=${o.credentials.accessKeyId}/${scope}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
  return { headers, seed: { signingKey, seedSignature: signature, scope, timestamp } };
}

/** A presigned path and query. The headers given (host at least) must be sent with it. */
export function presignRequest(o: SigningInput & { readonly expiresSeconds: number }): string {
  const timestamp = isoBasic(o.nowMs);
  const scope = scopeOf(timestamp.slice(0, 8), o.region, o.service);
  const parameters = [
    'X-Amz-Algorithm=AWS4-HMAC-SHA256',
    `X-Amz-Credential=${encodeComponent(`${o.credentials.accessKeyId}/${scope}`)}`,
    `X-Amz-Date=${timestamp}`,
    `X-Amz-Expires=${o.expiresSeconds}`,
    'X-Amz-SignedHeaders={SIGNED-HEADERS}',
  ];
  const token = o.credentials.sessionToken;
  if (token) parameters.push(`X-Amz-Security-Token=${encodeComponent(token)}`);
  const headers = lowerCase(o.headers);
  const payloadHash = o.payload === undefined ? UNSIGNED_PAYLOAD : payloadHashOf(o.payload);
  if (payloadHash !== UNSIGNED_PAYLOAD) parameters.push(`X-Amz-Content-Sha256=${payloadHash}`);
  const query = [...(o.query ? [o.query] : []), ...parameters].join('&');
  const { signature, signedHeaders } = signatureOf(o, { timestamp, query, headers, payloadHash });
  const signed = query.replace('{SIGNED-HEADERS}', encodeComponent(signedHeaders));
  return `${o.path}?${signed}&X-Amz-Signature=${signature}`;
}

/** A path for the request line: every byte of each segment encoded as S3 wants it, '/' kept. */
export const encodePath = (path: string): string => path.split('/').map(encodeComponent).join('/');

/** `a=b&c=d`, encoded and sorted as S3 signs it. */
export const encodeQuery = (parameters: Readonly<Record<string, string>>): string =>
  canonicalQuery(
    Object.entries(parameters)
      .map(([name, value]) => `${encodeComponent(name)}=${encodeComponent(value)}`)
      .join('&'),
  );

/** RFC 3986, every byte but A–Z a–z 0–9 - . _ ~ */
export function encodeComponent(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** Header values with characters beyond latin1, as they go over the wire. */
export const wireHeaders = (headers: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, wireText(value)]));
