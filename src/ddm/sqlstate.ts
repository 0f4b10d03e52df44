/**
 * What an error of the database or of the connection says about the statement's fate. The only file that knows
 * SQLSTATE codes (PostgreSQL manual, appendix A).
 *
 * An ERROR in answer to a statement means that its transaction was rolled back. Anything that ends the connection
 * says nothing: FATAL may arrive while a commit that is done already waits for its standby.
 */

/**
 * - `retry`: rolled back, the same statement may well succeed now;
 * - `unavailable`: rolled back or never begun, and will not succeed here and now;
 * - `duplicate`: a unique value was there already;
 * - `failed`: rolled back because the statement or its data is wrong;
 * - `unknown`: may have taken effect.
 */
export type Fate = 'retry' | 'unavailable' | 'duplicate' | 'failed' | 'unknown';

const RETRY = new Set([
  '40001', // serialization_failure
  '40P01', // deadlock_detected
]);
const UNAVAILABLE = new Set([
  '25006', // read_only_sql_transaction: this is a standby
  '55P03', // lock_not_available: lock_timeout
  '57014', // query_canceled: statement_timeout, which is off by the time a commit waits
  '57P03', // cannot_connect_now
  '3D000', // invalid_catalog_name: not initialised yet
  '42P01', // undefined_table: not migrated yet
  '3F000', // invalid_schema_name: not migrated yet
  '42883', // undefined_function: not migrated yet
]);
/** Insufficient resources, disk full, out of memory, too many connections; and system errors. */
const UNAVAILABLE_CLASSES = new Set(['53', '58']);

interface DatabaseError {
  readonly code: string;
  readonly severity: string;
}
const isDatabaseError = (error: unknown): error is DatabaseError =>
  error instanceof Error &&
  'severity' in error &&
  typeof error.severity === 'string' &&
  'code' in error &&
  typeof error.code === 'string';

export function fateOf(error: unknown): Fate {
  if (!isDatabaseError(error) || error.severity !== 'ERROR') return 'unknown';
  if (RETRY.has(error.code)) return 'retry';
  if (UNAVAILABLE.has(error.code) || UNAVAILABLE_CLASSES.has(error.code.slice(0, 2))) return 'unavailable';
  return error.code === '23505' ? 'duplicate' : 'failed';
}

/** A warning beside a success: the commit is done here, but the wait for the standby was cut short. */
export const isUnreplicated = (notice: {
  readonly code?: string | undefined;
  readonly severity?: string | undefined;
}): boolean => notice.severity === 'WARNING' && (notice.code === '01000' || notice.code === '57P01');
