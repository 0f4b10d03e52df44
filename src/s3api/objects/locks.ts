/**
 * Object lock as requests say it: the headers of a write, documents' dates, the headers of a read, and who may bypass
 * GOVERNANCE. What a lock forbids is decided by the commit alone. Source: "Locking objects with Object Lock", S3 User Guide;
 * the request headers of PutObject, Amazon S3 API Reference.
 */
import type { Bucket, ObjectAttributes, ObjectVersion, Retention } from '../../ddm/catalog.ts';
import { S3Error } from '../errors.ts';
import type { OperationContext } from '../operation.ts';

export type Locks = Pick<ObjectAttributes, 'retention' | 'legalHold'>;
type Headers = OperationContext['headers'];

const MODE = 'x-amz-object-lock-mode';
const UNTIL = 'x-amz-object-lock-retain-until-date';
const HOLD = 'x-amz-object-lock-legal-hold';
/** ISO 8601 with date and time; a fraction of the second may have any length. */
const DATE = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})$/;

export const missingObjectLock = (): S3Error =>
  new S3Error('InvalidRequest', { message: 'Bucket is missing Object Lock Configuration' });

/** @throws {S3Error} InvalidRequest */
export function requireObjectLock(bucket: Bucket): void {
  if (!bucket.objectLock) throw missingObjectLock();
}

export const isMode = (text: string | undefined): text is Retention['mode'] =>
  text === 'GOVERNANCE' || text === 'COMPLIANCE';

/** null for what is no date. Fractions beyond milliseconds are cut off. */
export function retentionDate(text: string): Date | null {
  const date = DATE.test(text) ? new Date(text) : null;
  return date === null || Number.isNaN(date.getTime()) ? null : date;
}

/** @throws {S3Error} InvalidArgument */
export function requireFuture(until: Date, now: number): void {
  if (until.getTime() <= now)
    throw invalid(UNTIL, until.toISOString(), 'The retain until date must be in the future!');
}

/**
 * The locks of a version that PutObject, CopyObject or CreateMultipartUpload makes. Each asks for a permission of its own.
 * @throws {S3Error} InvalidRequest (a bucket without object lock), InvalidArgument, AccessDenied
 */
export async function requestedLocks(ctx: OperationContext): Promise<Locks> {
  const { headers, services, bucketName, key } = ctx;
  const locks = locksOf(headers, services.clock.now());
  if (locks.retention === undefined && locks.legalHold === undefined) return {};
  requireObjectLock(ctx.bucket!);
  if (locks.retention !== undefined) await ctx.authorize('s3:PutObjectRetention', bucketName, key);
  if (locks.legalHold !== undefined) await ctx.authorize('s3:PutObjectLegalHold', bucketName, key);
  return locks;
}

/** @throws {S3Error} InvalidArgument */
export function locksOf(headers: Headers, now: number): Locks {
  const retention = retentionOf(headers, now);
  const hold = headers[HOLD];
  if (hold !== undefined && hold !== 'ON' && hold !== 'OFF')
    throw invalid(HOLD, hold, "Legal Hold must be either of 'ON' or 'OFF'");
  return {
    ...(retention !== undefined && { retention }),
    ...(hold !== undefined && { legalHold: hold === 'ON' }),
  };
}

function retentionOf(headers: Headers, now: number): Retention | undefined {
  const mode = headers[MODE];
  const date = headers[UNTIL];
  if (mode === undefined && date === undefined) return undefined;
  if (mode === undefined || date === undefined)
    throw invalid(
      mode === undefined ? UNTIL : MODE,
      mode ?? date ?? '',
      `${UNTIL} and ${MODE} must both be supplied`,
    );
  if (!isMode(mode)) throw invalid(MODE, mode, 'Unknown wormMode directive.');
  const until = retentionDate(date);
  if (until === null) throw invalid(UNTIL, date, 'The retain until date must be provided in ISO 8601 format');
  requireFuture(until, now);
  return { mode, until };
}

/**
 * S3 takes a version with a retention only when the request says how its bytes can be checked.
 * @throws {S3Error} InvalidRequest
 */
export function requireChecksumOfLocked(ctx: OperationContext, locks: Locks): void {
  const { bucket, body, headers } = ctx;
  if (locks.retention === undefined && locks.legalHold === undefined && !bucket!.defaultRetention) return;
  if (body!.declaredChecksum !== null || headers['content-md5'] !== undefined) return;
  throw new S3Error('InvalidRequest', {
    message:
      'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters',
  });
}

/** Of GET and HEAD. */
export function lockHeaders({ retention, legalHold }: ObjectVersion): Record<string, string | undefined> {
  return {
    [MODE]: retention?.mode,
    [UNTIL]: retention?.until.toISOString(),
    [HOLD]: legalHold === undefined ? undefined : legalHold ? 'ON' : 'OFF',
  };
}

/** Whether this request passes GOVERNANCE: it asks for it, and its account may. One that may not is as if it had not asked. */
export async function bypassesGovernance(ctx: OperationContext, key: string): Promise<boolean> {
  if (ctx.headers['x-amz-bypass-governance-retention']?.toLowerCase() !== 'true') return false;
  try {
    await ctx.authorize('s3:BypassGovernanceRetention', ctx.bucketName, key);
    return true;
  } catch (error) {
    if (error instanceof S3Error && error.code === 'AccessDenied') return false;
    throw error;
  }
}

function invalid(name: string, value: string, message: string): S3Error {
  return new S3Error('InvalidArgument', {
    message,
    fields: { ArgumentName: name, ArgumentValue: value.slice(0, 256) },
  });
}
