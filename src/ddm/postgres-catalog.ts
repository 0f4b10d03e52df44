/**
 * The catalog on Postgres: opens the parts and puts them together. Nothing is asked of a directory before it is
 * needed, so a catalog opens while its directories are still away.
 */
import { openAccounts } from './accounts.ts';
import { openBlobs } from './blobs.ts';
import { type BucketMoves, openBucketMoves } from './bucket-moves.ts';
import { openBuckets } from './buckets.ts';
import type { Catalog } from './catalog.ts';
import type { ChangeFeed } from './change-feed.ts';
import { openConditions } from './conditions.ts';
import { Directories } from './directories.ts';
import { openDirectoryHistory } from './directory-history.ts';
import { openHousekeeping } from './housekeeping.ts';
import { type IdentityCatalog, openIdentity } from './identity.ts';
import { openLifecycle } from './lifecycle.ts';
import type { LifecycleSource } from './lifecycle-source.ts';
import { openNameSource } from './name-records.ts';
import type { NameSource } from './name-source.ts';
import type { NotificationQueue } from './notification-queue.ts';
import { openNotificationQueue } from './notifications.ts';
import { openObjects } from './objects.ts';
import { completeOptions, type OpenCatalog } from './options.ts';
import { openOutbox } from './outbox.ts';
import { openQuotas } from './quotas.ts';
import { openRebuild, type RebuildCatalog } from './rebuild.ts';
import { openRepairs } from './repairs.ts';
import { openShares } from './shares.ts';
import { openUploads } from './uploads.ts';

export type { DirectoryLocator, PostgresConnection } from './locator.ts';
export type { OpenCatalog } from './options.ts';

/** The catalog, and what only Postgres has: what gateways need beside it. */
export type PostgresCatalog = Catalog &
  ChangeFeed &
  IdentityCatalog &
  NameSource &
  NotificationQueue &
  LifecycleSource &
  RebuildCatalog &
  BucketMoves;

/** Deadlines: options.ts. @throws {RangeError} when they make no sense */
export async function openCatalog(open: OpenCatalog): Promise<PostgresCatalog> {
  const o = completeOptions(open);
  const directories = new Directories(o);
  const shares = openShares(directories, o.clock);
  const { forget, closeLookup, ...buckets } = openBuckets(directories, o, shares);
  const accounts = openAccounts(directories, o);
  return {
    ...accounts,
    ...buckets,
    ...openObjects(directories, forget, shares),
    ...openUploads(directories, o, forget, shares),
    ...openQuotas(directories, shares),
    ...openHousekeeping(directories, o),
    ...openConditions(directories, o),
    ...openDirectoryHistory(directories),
    ...openRepairs(directories),
    ...openBlobs(directories),
    ...openOutbox(directories),
    ...openNotificationQueue(directories),
    ...openIdentity(directories),
    ...openBucketMoves(directories, o, shares),
    ...openRebuild(directories),
    ...openNameSource(directories, accounts),
    ...openLifecycle(directories),
    async close() {
      closeLookup();
      directories.close();
    },
  };
}
