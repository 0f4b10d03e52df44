/** The queue of notifications on Postgres: migrations/0032_notifications.sql says how its rows hang together. */
import type { PairId } from '../base/ids.ts';
import { type BucketRecord, NoSuchReader, splitPosition } from './change-feed.ts';
import { certain, type Directories } from './directories.ts';
import type { Row } from './link.ts';
import {
  BACKLOG_COUNTED_MAX,
  type DeadLetterQuery,
  type NewNotification,
  NOTIFICATIONS_READER,
  type NotificationQueue,
} from './notification-queue.ts';
import { statement } from './statements.ts';

const LEASE = statement('lease-notifications');
const OPEN = statement('open-notifications');
const BUCKETS = statement('notification-buckets');
const QUEUE = statement('queue-notifications');
const SKIP = statement('skip-notifications');
const DUE = statement('due-notifications');
const SETTLE = statement('settle-notifications');
const TRIM = statement('trim-dead-letters');
const TAKE = statement('take-dead-letters');
const LIST = statement('list-dead-letters');
const BACKLOG = statement('notification-backlog');
const TAKEN_AT_ONCE = 1_000;

export function openNotificationQueue(directories: Directories): NotificationQueue {
  const truth = async (pair: PairId, what: typeof LEASE, values: readonly unknown[]): Promise<boolean> =>
    certain(await directories.of(pair).write(what, values)).rows[0]?.answer === true;

  async function take({ target, bucket, event }: DeadLetterQuery, redeliver: boolean): Promise<number> {
    const which = [target ?? null, bucket ?? null, event ?? null];
    let taken = 0;
    for (const directory of directories.all())
      for (;;) {
        const answer = certain(await directory.write(TAKE, [...which, redeliver, TAKEN_AT_ONCE]));
        const now = Number(answer.rows[0]?.answer ?? 0);
        taken += now;
        if (now < TAKEN_AT_ONCE) break;
      }
    return taken;
  }

  return {
    leaseNotifications: (pair, target, owner, leaseMs) => truth(pair, LEASE, [target, owner, leaseMs]),
    async openNotifications(pair) {
      certain(await directories.of(pair).write(OPEN, []));
    },
    async notificationBuckets(pair) {
      const rows = await directories.of(pair).read(BUCKETS, []);
      return rows.map((row) => row.record as BucketRecord);
    },
    queueNotifications: (pair, { from, to, buckets, notifications }) =>
      truth(pair, QUEUE, [
        ...splitPosition(from),
        ...splitPosition(to),
        JSON.stringify([...buckets]),
        JSON.stringify(notifications),
      ]),
    async skipNotifications(pair, to) {
      if (!(await truth(pair, SKIP, splitPosition(to)))) throw new NoSuchReader(NOTIFICATIONS_READER);
    },
    async dueNotifications(pair, target, without, max) {
      const rows = await directories.of(pair).read(DUE, [target, without, max]);
      return rows.map((row) => ({
        ...notificationOf(row),
        id: Number(row.id),
        attempts: Number(row.attempts),
        queuedAt: row.queued_at as Date,
      }));
    },
    settleNotifications: (pair, target, owner, { delivered, failed, dead }) =>
      truth(pair, SETTLE, [
        ...[target, owner, delivered],
        JSON.stringify(failed.map(({ id, error, dueInMs }) => [id, error, Math.round(dueInMs)])),
        JSON.stringify(dead.map(({ id, error }) => [id, error])),
      ]),
    trimDeadLetters: (pair, keepMs, max) => truth(pair, TRIM, [keepMs, max]),

    async notificationBacklog() {
      const ofPairs = directories.pairs().map(async (pair) => {
        const rows = await directories.of(pair).read(BACKLOG, [BACKLOG_COUNTED_MAX]);
        return rows.map((row) => ({
          ...{ pair, target: String(row.target), queued: Number(row.queued), dead: Number(row.dead) },
          ...(row.oldest_at !== null && { oldestAt: row.oldest_at as Date }),
        }));
      });
      return (await Promise.all(ofPairs)).flat();
    },
    async listDeadLetters({ target, bucket, event }, max) {
      const values = [target ?? null, bucket ?? null, event ?? null, max];
      const ofPairs = directories.pairs().map(async (pair) => {
        const rows = await directories.of(pair).read(LIST, values);
        return rows.map((row) => ({
          ...notificationOf(row),
          ...{ pair, id: Number(row.id), attempts: Number(row.attempts) },
          ...{ diedAt: row.died_at as Date, error: String(row.error) },
        }));
      });
      const all = (await Promise.all(ofPairs)).flat();
      return all.sort((a, b) => b.diedAt.getTime() - a.diedAt.getTime()).slice(0, max);
    },
    redeliverDeadLetters: (query) => take(query, true),
    dropDeadLetters: (query) => take(query, false),
  };
}

const notificationOf = (row: Row): NewNotification => ({
  target: String(row.target),
  bucketId: Number(row.bucket_id),
  bucket: String(row.bucket),
  key: String(row.key),
  event: String(row.event),
  name: String(row.name),
  at: row.at as Date,
  body: String(row.body),
});
