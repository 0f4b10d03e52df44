/** What the catalog on Postgres is opened with, and its deadlines. */
import type { Logger } from 'pino';
import type { Clock } from '../base/clock.ts';
import type { PairId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import type { NameSearch } from './find-bucket.ts';
import type { DirectoryLocator } from './locator.ts';

export interface CatalogTimeouts {
  /** Connecting, with the first question. */
  readonly connectMs: number;
  /** Waiting for a connection's turn. */
  readonly waitMs: number;
  /** Waiting for another transaction's lock; the statement has not taken effect then. */
  readonly lockMs: number;
  /** Carrying out a statement, before its commit begins to wait for the twin. */
  readonly statementMs: number;
  readonly readMs: number;
  /** A commit with its wait for the twin. Longer than it takes to declare a twin out, so that commits then go on. */
  readonly commitMs: number;
  /** Finding out what became of a commit whose outcome is unknown. */
  readonly resolveMs: number;
}

export const CATALOG_TIMEOUTS: CatalogTimeouts = {
  connectMs: 3_000,
  waitMs: 8_000,
  lockMs: 4_000,
  statementMs: 5_000,
  readMs: 6_000,
  commitMs: 10_000,
  resolveMs: 5_000,
};

export interface OpenCatalog {
  /** The pair that keeps what is global. */
  readonly root: PairId;
  readonly locator: DirectoryLocator;
  readonly log: Logger;
  readonly clock: Clock;
  readonly commitDeadlineMs?: number;
  readonly timeouts?: Partial<CatalogTimeouts>;
  readonly intentMs?: number;
  /** How old the caches of keys and buckets may be. */
  readonly settingsAgeMs?: number;
  /** How long changes are kept, at least, for consumers of the feed that have not read them. */
  readonly feedWaitMs?: number;
  /** How directories are asked for a bucket that is not where it should be. Absent: their primaries alone are. */
  readonly names?: NameSearch;
}

export type CatalogOptions = Required<Omit<OpenCatalog, 'timeouts' | 'commitDeadlineMs' | 'names'>> & {
  readonly timeouts: CatalogTimeouts;
  readonly names?: NameSearch;
};

/** @throws {RangeError} when the deadlines contradict each other */
export function completeOptions(o: OpenCatalog): CatalogOptions {
  const timeouts = {
    ...CATALOG_TIMEOUTS,
    ...(o.commitDeadlineMs !== undefined && { commitMs: o.commitDeadlineMs }),
    ...o.timeouts,
  };
  // Whatever the server ends by itself is certain not to have taken effect; only then the connection is dropped.
  const statementMs = Math.min(timeouts.statementMs, timeouts.commitMs, timeouts.readMs);
  const lockMs = Math.min(timeouts.lockMs, statementMs);
  if (Object.values(timeouts).some((ms) => !(ms > 0))) throw new RangeError('a deadline must be above 0 ms');
  return {
    intentMs: LIMITS.intentMs,
    settingsAgeMs: LIMITS.settingsAgeMs,
    feedWaitMs: LIMITS.feedWaitMs,
    ...o,
    timeouts: { ...timeouts, statementMs, lockMs },
  };
}
