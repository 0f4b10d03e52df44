/** Object lock as the model has it: pure rules, each a function of a row, a clock and what is asked. */
import type { Bucket, CommitRefusal, ObjectAttributes, Retention } from '../../src/ddm/catalog.ts';

type Locks = Pick<ObjectAttributes, 'retention' | 'legalHold'>;

/** What locks a version can only be said in a bucket with object lock. */
export const checkLocks = (bucket: Bucket, locks: Locks): CommitRefusal | null =>
  bucket.objectLock || (locks.retention === undefined && locks.legalHold === undefined)
    ? null
    : 'no-object-lock';

export function isLocked(row: Locks, now: number, bypassGovernance: boolean): boolean {
  if (row.legalHold === true) return true;
  if (row.retention === undefined || row.retention.until.getTime() <= now) return false;
  return row.retention.mode === 'COMPLIANCE' || !bypassGovernance;
}

/** While a retention holds it can be made longer; anything else needs the bypass, which is for GOVERNANCE alone. */
export function mayRetain(
  old: Retention | undefined,
  wanted: Retention | null,
  now: number,
  bypassGovernance: boolean,
): boolean {
  if (old === undefined || old.until.getTime() <= now) return true;
  if (old.mode === 'GOVERNANCE' && bypassGovernance) return true;
  return wanted !== null && wanted.mode === old.mode && wanted.until.getTime() >= old.until.getTime();
}

/** The retention of a new version: its own, else the bucket's default from the moment that it was made. */
export function retentionOf(bucket: Bucket, own: Locks, madeAt: Date): { readonly retention?: Retention } {
  if (own.retention !== undefined) return { retention: own.retention };
  const byDefault = bucket.defaultRetention;
  if (byDefault === undefined) return {};
  const until = new Date(madeAt);
  if ('days' in byDefault) until.setTime(until.getTime() + byDefault.days * 86_400_000);
  else addYears(until, byDefault.years);
  return { retention: { mode: byDefault.mode, until } };
}

/** The same day of a later year; 29 February becomes the 28th where there is none. */
function addYears(date: Date, years: number): void {
  const month = date.getUTCMonth();
  date.setUTCFullYear(date.getUTCFullYear() + years);
  if (date.getUTCMonth() !== month) date.setUTCDate(0);
}
