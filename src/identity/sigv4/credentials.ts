/**
 * Takes apart what a client says about its signature, from the Authorization header or from X-Amz-* query parameters,
 * and refuses what is malformed in AWS's words. Nothing here knows keys or clocks.
 * Source: "Authenticating Requests: Using the Authorization Header" and "… Using Query Parameters", S3 API Reference.
 */
import { AuthError, mechanismNotSupported } from '../errors.ts';
import { ALGORITHM } from './canonical.ts';
import { isDay, parseIsoBasic } from './dates.ts';
import { scopeOf } from './signing-key.ts';

export interface Claim {
  readonly accessKeyId: string;
  /** Day of the credential scope, `20130524`. */
  readonly date: string;
  readonly scope: string;
  /** Lower case, in the client's order. */
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

export interface PresignedClaim extends Claim {
  readonly timestamp: string;
  readonly timeMs: number;
  readonly expiresSeconds: number;
}

export interface Expected {
  /** null: any. */
  readonly region: string | null;
  readonly service: string;
}

export type Malformed = (detail: string, fields?: Record<string, string>) => AuthError;

const inHeader: Malformed = (detail, fields) =>
  new AuthError(
    'AuthorizationHeaderMalformed',
    `The authorization header is malformed; ${detail}`,
    fields ?? {},
  );
const inQuery: Malformed = (detail, fields) =>
  new AuthError(
    'AuthorizationQueryParametersError',
    `Error parsing the X-Amz-Credential parameter; ${detail}`,
    fields ?? {},
  );

export function parseCredential(text: string, expected: Expected, malformed: Malformed) {
  const parts = text.split('/');
  const [accessKeyId, date, region, service, terminal] = parts;
  const noRegion = expected.region !== null && !region;
  if (
    parts.length !== 5 ||
    !accessKeyId ||
    !date ||
    region === undefined ||
    noRegion ||
    !service ||
    !terminal
  )
    throw malformed(
      'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  if (service !== expected.service)
    throw malformed(`incorrect service "${service}". This endpoint belongs to "${expected.service}".`);
  if (terminal !== 'aws4_request')
    throw malformed(`incorrect terminal "${terminal}". This endpoint uses "aws4_request".`);
  if (!isDay(date))
    throw malformed(
      `incorrect date format "${date}". This date in the credential must be in the format "yyyyMMdd".`,
    );
  if (expected.region !== null && region !== expected.region)
    throw malformed(`the region '${region}' is wrong; expecting '${expected.region}'`, {
      Region: expected.region,
    });
  return { accessKeyId, date, scope: scopeOf(date, region, service) };
}

const parseSignedHeaders = (text: string): string[] => text.toLowerCase().split(';');

/** The components of `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`, in any order. */
function parseComponents(text: string): Map<string, string> {
  const parts = text.split(',').map((part) => part.trim());
  const components = new Map<string, string>();
  if (parts.length !== 3)
    throw inHeader(
      'the authorization header requires three components: Credential, SignedHeaders, and Signature.',
    );
  for (const part of parts) {
    const equals = part.indexOf('=');
    const name = part.slice(0, Math.max(equals, 0));
    if (equals <= 0 || equals === part.length - 1 || components.has(name))
      throw inHeader(`the authorization component "${part}" is malformed.`);
    components.set(name, part.slice(equals + 1));
  }
  return components;
}

export function parseAuthorizationHeader(header: string, expected: Expected): Claim {
  const space = header.indexOf(' ');
  const type = space < 0 ? header : header.slice(0, space);
  const rest = space < 0 ? '' : header.slice(space + 1);
  if (type === 'AWS' && rest.includes(':')) throw mechanismNotSupported();
  if (type === 'AWS4-ECDSA-P256-SHA256') throw mechanismNotSupported();
  const argument = { ArgumentName: 'Authorization' };
  if (type === 'AWS')
    throw new AuthError(
      'InvalidArgument',
      'AWS authorization header is invalid. Expected AwsAccessKeyId:signature',
      argument,
    );
  if (space < 0)
    throw new AuthError(
      'InvalidArgument',
      "Authorization header is invalid -- one and only one ' ' (space) required.",
      argument,
    );
  if (type !== ALGORITHM) throw new AuthError('InvalidArgument', 'Unsupported Authorization Type', argument);
  const components = parseComponents(rest);
  const [credential, signedHeaders, signature] = ['Credential', 'SignedHeaders', 'Signature'].map((name) => {
    const value = components.get(name);
    if (value === undefined) throw inHeader(`missing ${name}.`);
    return value;
  });
  return {
    ...parseCredential(credential!, expected, inHeader),
    signedHeaders: parseSignedHeaders(signedHeaders!),
    signature: signature!,
  };
}

export const credentialDateMismatch = (claim: Claim, day: string): AuthError =>
  inHeader(`Invalid credential date "${claim.date}". This date is not the same as X-Amz-Date: "${day}".`);

const queryError = (message: string): AuthError =>
  new AuthError('AuthorizationQueryParametersError', message);

function parseExpires(text: string, expiresSecondsMax: number): number {
  if (!/^-?\d{1,12}$/.test(text)) throw queryError('X-Amz-Expires should be a number');
  const seconds = Number(text);
  if (seconds < 0) throw queryError('X-Amz-Expires must be non-negative');
  if (seconds > expiresSecondsMax)
    throw queryError(
      `X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than ${expiresSecondsMax} seconds`,
    );
  return seconds;
}

/** @param query decoded parameters of a presigned URL, names as the client spelt them */
export function parsePresignedQuery(
  query: ReadonlyMap<string, string>,
  expected: Expected,
  expiresSecondsMax: number,
): PresignedClaim {
  const required = (name: string): string => {
    const value = query.get(name);
    if (value === undefined || value === '')
      throw queryError(
        'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
      );
    return value;
  };
  if (required('X-Amz-Algorithm') !== ALGORITHM)
    throw queryError('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"');
  const credential = required('X-Amz-Credential');
  const timestamp = required('X-Amz-Date');
  const signature = required('X-Amz-Signature');
  const signedHeaders = parseSignedHeaders(required('X-Amz-SignedHeaders'));
  const expires = required('X-Amz-Expires');
  const claim = { ...parseCredential(credential, expected, inQuery), signedHeaders, signature };
  const timeMs = parseIsoBasic(timestamp);
  if (timeMs === null)
    throw queryError("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"");
  if (timestamp.slice(0, 8) !== claim.date)
    throw queryError(
      `Invalid credential date "${claim.date}". This date is not the same as X-Amz-Date: "${timestamp.slice(0, 8)}".`,
    );
  return { ...claim, timestamp, timeMs, expiresSeconds: parseExpires(expires, expiresSecondsMax) };
}
