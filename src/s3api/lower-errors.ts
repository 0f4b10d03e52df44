/**
 * From what the rooms below throw to what a client sees. Each of their error classes has one line here; what is not
 * known is a fault of ours: InternalError, logged with its request id.
 */
import { CatalogUnavailable } from '../ddm/catalog.ts';
import { BytesUnavailable, StorageFull } from '../dosm/dosm.ts';
import { AuthError } from '../identity/errors.ts';
import { S3Error } from './errors.ts';

type LowerError = AuthError | CatalogUnavailable | BytesUnavailable | StorageFull;

/** A failover takes a few seconds; a client that waits this long mostly finds it done. */
export const RETRY_AFTER_SECONDS = 3;

export function toS3Error(error: unknown): S3Error {
  if (error instanceof S3Error) return error;
  if (isLowerError(error)) return mapLower(error);
  return new S3Error('InternalError', { cause: error });
}

const isLowerError = (error: unknown): error is LowerError =>
  error instanceof AuthError ||
  error instanceof CatalogUnavailable ||
  error instanceof BytesUnavailable ||
  error instanceof StorageFull;

function mapLower(error: LowerError): S3Error {
  switch (error.name) {
    case 'AuthError':
      return new S3Error(error.code, { message: error.message, fields: error.fields, cause: error });
    case 'CatalogUnavailable':
    case 'BytesUnavailable':
      return serviceUnavailable(error);
    case 'StorageFull':
      return new S3Error('InsufficientStorage', { cause: error });
    default: {
      const missing: never = error;
      throw new Error(`no S3 error for ${String(missing)}`);
    }
  }
}

/** Also for a commit whose outcome is unknown: the client repeats, nothing has been promised. */
export const serviceUnavailable = (cause?: unknown): S3Error =>
  new S3Error('ServiceUnavailable', { headers: { 'retry-after': String(RETRY_AFTER_SECONDS) }, cause });
