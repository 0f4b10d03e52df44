/**
 * From the change feed to the queues of webhooks: each page of changes becomes the notifications that its buckets want, under
 * the configurations that they had at that place in the feed, in one transaction with the reader's advance. One gateway at a
 * time, under a lease; should two overlap, the reader's place lets only one of them queue a page.
 */
import type { Logger } from 'pino';
import type { Clock } from '../../base/clock.ts';
import type { PairId } from '../../base/ids.ts';
import type { BucketRecord, Change, ChangeFeed, Position } from '../../ddm/change-feed.ts';
import { NOTIFICATION, type NotificationConfiguration, rulesFor } from '../../ddm/notification-config.ts';
import {
  type NewNotification,
  NOTIFICATIONS_READER,
  type NotificationQueue,
} from '../../ddm/notification-queue.ts';
import { eventMessage, eventNameOf, testMessage } from './event-record.ts';

export type NotificationSource = NotificationQueue &
  Pick<ChangeFeed, 'feedPairs' | 'openReader' | 'readChanges'>;

export interface FanOutOptions {
  readonly source: NotificationSource;
  readonly owner: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}
type Buckets = ReadonlyMap<number, BucketRecord>;
/** What this gateway knows of a pair's feed, as of the reader's place; null: nothing that is sure. */
export interface FanOutMemory {
  at: { readonly position: Position; readonly buckets: Buckets } | null;
  leasedUntil: number;
  /** The lease was another gateway's: not asked for before then. */
  notBefore: number;
}
export const newFanOutMemory = (): FanOutMemory => ({
  at: null,
  leasedUntil: Number.NEGATIVE_INFINITY,
  notBefore: Number.NEGATIVE_INFINITY,
});

const PAGE = 500;
const PAGES_PER_RUN = 40;

/** Queues what there is to queue in this pair's feed. */
export async function fanOut(o: FanOutOptions, pair: PairId, memory: FanOutMemory): Promise<void> {
  const { source, clock, owner, leaseMs } = o;
  if (clock.monotonic() < memory.notBefore) return;
  try {
    for (let pages = 0; pages < PAGES_PER_RUN; pages += 1) {
      if (memory.leasedUntil - clock.monotonic() < leaseMs / 2) {
        const askedAt = clock.monotonic();
        if (!(await source.leaseNotifications(pair, '', owner, leaseMs))) {
          memory.at = null;
          memory.notBefore = askedAt + leaseMs / 4;
          return;
        }
        memory.leasedUntil = askedAt + leaseMs;
      }
      memory.at ??= await enter(source, pair);
      if (!(await queuePage(o, pair, memory))) return;
    }
  } catch (error) {
    memory.at = null;
    throw error;
  }
}

/** The place first: what is read of the buckets afterwards belongs to it, or to a later one that the reader then is at. */
async function enter(source: NotificationSource, pair: PairId): Promise<NonNullable<FanOutMemory['at']>> {
  await source.openNotifications(pair);
  const position = await source.openReader(pair, NOTIFICATIONS_READER, 'now');
  const records = await source.notificationBuckets(pair);
  return { position, buckets: new Map(records.map((record) => [record.id, record])) };
}

/** Whether there may be more. */
async function queuePage(o: FanOutOptions, pair: PairId, memory: FanOutMemory): Promise<boolean> {
  const { position: from, buckets } = memory.at!;
  const page = await o.source.readChanges(pair, { reader: NOTIFICATIONS_READER, after: from, max: PAGE });
  if (page.gap) {
    o.log.warn({ pair, ...page.gap }, 'changes were trimmed before their notifications were queued');
    await o.source.skipNotifications(pair, page.gap.to);
    memory.at = null;
    return true;
  }
  if (page.changes.length === 0) return false;
  const found = notificationsOf(page.changes, buckets);
  if (!(await o.source.queueNotifications(pair, { from, to: page.position, ...found.queued }))) {
    // Another gateway was faster.
    memory.at = null;
    memory.leasedUntil = Number.NEGATIVE_INFINITY;
    return false;
  }
  memory.at = { position: page.position, buckets: found.after };
  return page.more;
}

/** What changes mean for buckets that were so before them. Pure. */
export function notificationsOf(changes: readonly Change[], before: Buckets) {
  const after = new Map(before);
  const changed = new Map<number, BucketRecord | null>();
  const notifications: NewNotification[] = [];
  for (const change of changes) {
    const known = after.get(change.bucketId);
    if (change.key !== undefined) {
      if (known) notifications.push(...ofKey(change, known));
      continue;
    }
    const isGone = change.kind === 'bucket-deleted' || change.kind === 'bucket-left';
    const record = isGone ? undefined : change.bucketRecord;
    const configuration = record && configurationOf(record);
    if (!record || !configuration) {
      if (after.delete(change.bucketId)) changed.set(change.bucketId, null);
      continue;
    }
    after.set(change.bucketId, record);
    changed.set(change.bucketId, record);
    const isNew = !known || configurationOf(known)?.requestId !== configuration.requestId;
    // A bucket that arrives from another pair brings a configuration that was tested there.
    if (isNew && !configuration.skipsTest && change.kind === 'bucket-changed')
      notifications.push(...ofTest(change, configuration));
  }
  return { after, queued: { buckets: changed, notifications } };
}

const configurationOf = (record: BucketRecord): NotificationConfiguration | undefined =>
  record.settings[NOTIFICATION] as NotificationConfiguration | undefined;

const addressed = (change: Change, target: string, name: string, body: string): NewNotification => ({
  ...{ target, name, body, event: change.event, at: change.at },
  ...{ bucketId: change.bucketId, bucket: change.bucket, key: change.key ?? '' },
});

function ofKey(change: Change, bucket: BucketRecord): NewNotification[] {
  const configuration = configurationOf(bucket);
  const name = eventNameOf(change);
  if (!configuration || name === null) return [];
  return rulesFor(configuration, name, change.key!).map((rule) =>
    addressed(change, rule.target, name, eventMessage(change, name, bucket, rule)),
  );
}

function ofTest(change: Change, configuration: NotificationConfiguration): NewNotification[] {
  const targets = new Set(configuration.rules.map(({ target }) => target));
  return [...targets].map((target) =>
    addressed(change, target, 's3:TestEvent', testMessage(change, configuration)),
  );
}
