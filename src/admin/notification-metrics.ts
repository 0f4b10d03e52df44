/** Gauges of the queues of webhooks, and counters of what this gateway sent. */
import { Gauge, type Registry } from 'prom-client';
import type { DeliveryFigures } from './notifications.ts';
import type { NotificationsReport } from './notifications-api.ts';

export interface NotificationFigures {
  readonly report: NotificationsReport;
  readonly sent: ReadonlyMap<string, DeliveryFigures>;
}

/** Returns how to bring them up to date. */
export function createNotificationGauges(registers: Registry[]): (figures: NotificationFigures) => void {
  const labelNames = ['target', 'directory'];
  const queued = new Gauge({
    name: 'antipode_notifications_queued',
    help: 'Notifications that wait for a webhook, counted up to 10,000',
    labelNames,
    registers,
  });
  const oldest = new Gauge({
    name: 'antipode_notifications_oldest_seconds',
    help: 'How long the notification that is due the longest has waited for its webhook',
    labelNames,
    registers,
  });
  const dead = new Gauge({
    name: 'antipode_notification_dead_letters',
    help: 'Notifications that were given up and are still kept, counted up to 10,000',
    labelNames,
    registers,
  });
  const total = new Gauge({
    name: 'antipode_notifications_total',
    help: 'Attempts of this gateway at sending a notification, by outcome: delivered, failed (and to be repeated), dead',
    labelNames: ['target', 'outcome'],
    registers,
  });
  return ({ report, sent }) => {
    for (const gauge of [queued, oldest, dead]) gauge.reset();
    for (const target of report.targets.filter(({ directory }) => directory !== '')) {
      const labels = { target: target.target, directory: target.directory };
      queued.set(labels, target.queued);
      oldest.set(labels, target.oldestSeconds);
      dead.set(labels, target.dead);
    }
    for (const [target, figures] of sent)
      for (const outcome of ['delivered', 'failed', 'dead'] as const)
        total.set({ target, outcome }, figures[outcome]);
  };
}
