/** What operators see of notifications, and what they may do about dead letters: send them again, or drop them. */
import type { Router } from 'express';
import type { Clock } from '../base/clock.ts';
import type { DeadLetter, NotificationQueue } from '../ddm/notification-queue.ts';
import type { AdminLocals } from './admin-auth.ts';
import {
  type DeadLetterReport,
  deadLettersOrder,
  deadLettersQuery,
  type NotificationsReport,
} from './notifications-api.ts';
import { parse } from './parse.ts';

/** Since the gateway's process started. */
export interface DeliveryFigures {
  readonly delivered: number;
  readonly failed: number;
  readonly dead: number;
}
export interface NotificationsAdmin {
  readonly queue: Pick<
    NotificationQueue,
    'notificationBacklog' | 'listDeadLetters' | 'redeliverDeadLetters' | 'dropDeadLetters'
  >;
  readonly declared: ReadonlySet<string>;
  readonly figures: () => ReadonlyMap<string, DeliveryFigures>;
}

export async function notificationsReport(
  { queue, declared }: NotificationsAdmin,
  clock: Pick<Clock, 'now'>,
): Promise<NotificationsReport> {
  const targets = (await queue.notificationBacklog()).map(({ pair, target, queued, dead, oldestAt }) => ({
    ...{ target, directory: pair, declared: declared.has(target), queued, dead },
    oldestSeconds: oldestAt ? Math.max(0, (clock.now() - oldestAt.getTime()) / 1000) : 0,
  }));
  // Those that never had anything to send are there too.
  const idle = [...declared].filter((name) => !targets.some(({ target }) => target === name));
  const none = { directory: '', declared: true, queued: 0, dead: 0, oldestSeconds: 0 };
  const all = [...targets, ...idle.map((target) => ({ target, ...none }))];
  return { targets: all.sort((a, b) => (a.target < b.target ? -1 : a.target > b.target ? 1 : 0)) };
}

const reportOf = (letter: DeadLetter): DeadLetterReport => ({
  ...{ event: letter.event, target: letter.target, directory: letter.pair },
  ...{ bucket: letter.bucket, key: letter.key, name: letter.name },
  ...{ at: letter.at.toISOString(), diedAt: letter.diedAt.toISOString() },
  ...{ attempts: letter.attempts, error: letter.error, message: JSON.parse(letter.body) as unknown },
});

export function notificationRoutes(
  router: Router,
  notifications: NotificationsAdmin,
  clock: Pick<Clock, 'now'>,
): void {
  const { queue } = notifications;
  router.get('/notifications', async (_req, res) => {
    res.json(await notificationsReport(notifications, clock));
  });
  router.get('/notifications/dead-letters', async (req, res) => {
    const { max, ...query } = parse(deadLettersQuery, req.query);
    res.json({ deadLetters: (await queue.listDeadLetters(query, max)).map(reportOf) });
  });
  router.post('/notifications/dead-letters/redeliver', async (_req, res) => {
    const { all: _, ...query } = parse(deadLettersOrder, (res.locals as AdminLocals).body);
    res.json({ taken: await queue.redeliverDeadLetters(query) });
  });
  router.post('/notifications/dead-letters/drop', async (_req, res) => {
    const { all: _, ...query } = parse(deadLettersOrder, (res.locals as AdminLocals).body);
    res.json({ taken: await queue.dropDeadLetters(query) });
  });
}
