/**
 * What the query APIs (IAM, STS) refuse, in AWS's codes, statuses and words, and how the errors of the rooms below look
 * there. Source: "Common errors" and "Errors" of each action, IAM API Reference and STS API Reference.
 */
import { CatalogUnavailable, type Outcome } from '../../ddm/catalog.ts';
import { AuthError, type AuthErrorCode } from '../../identity/errors.ts';
import { S3Error } from '../errors.ts';

const STATUS = {
  AccessDenied: 403,
  DeleteConflict: 409,
  EntityAlreadyExists: 409,
  ExpiredToken: 403,
  IncompleteSignature: 403,
  InvalidAction: 501,
  InvalidClientTokenId: 403,
  InvalidInput: 400,
  LimitExceeded: 409,
  MalformedInput: 400,
  MalformedPolicyDocument: 400,
  MissingAction: 400,
  MissingAuthenticationToken: 403,
  NoSuchEntity: 404,
  NotImplemented: 501,
  PackedPolicyTooLarge: 400,
  ServiceFailure: 500,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
  UnmodifiableEntity: 400,
  ValidationError: 400,
} as const;

export type QueryErrorCode = keyof typeof STATUS;

export class QueryError extends Error {
  override readonly name = 'QueryError';
  readonly code: QueryErrorCode;
  readonly status: number;
  constructor(code: QueryErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
    this.status = STATUS[code];
  }
}

export const validation = (message: string): QueryError => new QueryError('ValidationError', message);

const KIND = { user: 'user', role: 'role' } as const;

export const noSuch = (kind: keyof typeof KIND, name: string): QueryError =>
  new QueryError('NoSuchEntity', `The ${KIND[kind]} with name ${name} cannot be found.`);

/** For a change of which nobody knows whether it was made. */
const unavailable = (cause?: unknown): QueryError =>
  new QueryError('ServiceUnavailable', 'The request has failed due to a temporary failure of the server.', {
    cause,
  });

/** The value of what was done. @throws {QueryError} for the reason why it was not */
export function settled<T, R extends string>(
  outcome: Outcome<T, R>,
  refusals: Readonly<Record<R, () => QueryError>>,
): T {
  if (outcome.outcome === 'done') return outcome.value;
  throw outcome.outcome === 'unknown' ? unavailable() : refusals[outcome.reason]();
}

export function toQueryError(error: unknown): QueryError {
  if (error instanceof QueryError) return error;
  if (error instanceof AuthError) return ofAuthentication(error);
  if (error instanceof CatalogUnavailable || (error instanceof S3Error && error.status === 503))
    return unavailable(error);
  return new QueryError('ServiceFailure', 'The request processing has failed because of an unknown error.', {
    cause: error,
  });
}

const AUTHENTICATION: Partial<Record<AuthErrorCode, readonly [QueryErrorCode, string]>> = {
  ExpiredToken: ['ExpiredToken', 'The security token included in the request is expired'],
  InvalidAccessKeyId: ['InvalidClientTokenId', 'The security token included in the request is invalid.'],
  InvalidToken: ['InvalidClientTokenId', 'The security token included in the request is invalid.'],
  SignatureDoesNotMatch: [
    'SignatureDoesNotMatch',
    'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
  ],
};

function ofAuthentication(error: AuthError): QueryError {
  const known = AUTHENTICATION[error.code];
  if (known) return new QueryError(known[0], known[1], { cause: error });
  if (error.code === 'RequestTimeTooSkewed')
    return new QueryError(
      'SignatureDoesNotMatch',
      `Signature not yet current or expired: ${error.fields.RequestTime} is too far from ${error.fields.ServerTime}`,
      { cause: error },
    );
  if (error.code === 'AccessDenied') return new QueryError('AccessDenied', error.message, { cause: error });
  return new QueryError('IncompleteSignature', error.message, { cause: error });
}
