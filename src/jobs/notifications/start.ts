/**
 * Starts what sends notifications, on every gateway that has webhooks: for each directory pair the fan-out of its feed, and a
 * delivery for each webhook. Pairs that join later are found. Nothing here is needed for a write to succeed.
 */
import type { LookupFunction } from 'node:net';
import type { Logger } from 'pino';
import type { Clock, Random } from '../../base/clock.ts';
import type { PairId } from '../../base/ids.ts';
import { startLoop } from '../loop.ts';
import { Delivery, type DeliveryCounts, type DeliveryTimings } from './deliver.ts';
import { type FanOutMemory, fanOut, type NotificationSource, newFanOutMemory } from './fan-out.ts';
import type { OutgoingRules } from './outgoing-addresses.ts';
import { giveUpUndeclared } from './undeclared.ts';
import { createWebhookClient, type WebhookTarget } from './webhook.ts';

export interface NotificationTimings extends DeliveryTimings {
  readonly leaseMs: number;
  readonly keepDeadMs: number;
}
export const NOTIFICATION_TIMINGS: NotificationTimings = {
  pollMs: 500,
  backoffMs: 1_000,
  backoffMsMax: 60_000,
  leaseMs: 10_000,
  keepDeadMs: 14 * 24 * 3_600_000,
};
export interface NotificationsOptions {
  readonly source: NotificationSource;
  readonly targets: readonly (WebhookTarget & { readonly rules: OutgoingRules })[];
  readonly owner: string;
  readonly timings?: Partial<NotificationTimings>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
  readonly lookup?: LookupFunction;
}
export interface Notifications {
  /** By webhook, since this process started. */
  counts(): ReadonlyMap<string, Readonly<DeliveryCounts>>;
  close(): Promise<void>;
}

const TIDY_MS = 60_000;
const TRIMMED_AT_ONCE = 1_000;

export function startNotifications(o: NotificationsOptions): Notifications {
  const { source, targets, owner, clock, random, log } = o;
  const timings = { ...NOTIFICATION_TIMINGS, ...o.timings };
  const counts = new Map(targets.map(({ name }) => [name, { delivered: 0, failed: 0, dead: 0 }]));
  const clients = targets.map((target) => {
    const lookup = o.lookup ? { lookup: o.lookup } : {};
    return { target, client: createWebhookClient({ target, rules: target.rules, clock, ...lookup }) };
  });
  const memories = new Map<PairId, FanOutMemory>();
  const deliveries = new Map<PairId, Promise<unknown>>();
  const stop = new AbortController();

  /** Goes on after the catalog was away. */
  const deliver = async (pair: PairId, { target, client }: (typeof clients)[number]) => {
    const more = { queue: source, pair, target, client, owner, timings, clock, random, log };
    const delivery = new Delivery({ ...more, counts: counts.get(target.name)! });
    while (!stop.signal.aborted)
      await delivery.run(stop.signal).catch(async (error: unknown) => {
        if (stop.signal.aborted) return;
        log.warn({ err: error, pair, target: target.name }, 'deliveries are interrupted');
        await clock.sleep(timings.pollMs * 2, stop.signal).catch(() => {});
      });
  };

  const loops = [
    startLoop({
      name: 'notifications',
      intervalMs: timings.pollMs,
      run: async (signal) => {
        const results = await Promise.allSettled(
          source.feedPairs().map(async (pair) => {
            signal.throwIfAborted();
            const memory = memories.get(pair) ?? newFanOutMemory();
            memories.set(pair, memory);
            if (!deliveries.has(pair))
              deliveries.set(pair, Promise.all(clients.map((each) => deliver(pair, each))));
            await fanOut({ source, owner, leaseMs: timings.leaseMs, clock, log }, pair, memory);
          }),
        );
        const [failed] = results.filter((result) => result.status === 'rejected');
        if (failed) throw failed.reason;
      },
      ...{ clock, random, log },
    }),
    startLoop({
      name: 'dead-letters',
      intervalMs: TIDY_MS,
      run: async () => {
        for (const pair of source.feedPairs()) {
          while (await source.trimDeadLetters(pair, timings.keepDeadMs, TRIMMED_AT_ONCE));
          const declared = new Set(targets.map(({ name }) => name));
          await giveUpUndeclared({ queue: source, pair, declared, owner, clock });
        }
      },
      ...{ clock, random, log },
    }),
  ];

  return {
    counts: () => counts,
    async close() {
      stop.abort(new Error('notifications are stopping'));
      await Promise.all(loops.map((loop) => loop.close()));
      await Promise.all(deliveries.values());
      await Promise.all(clients.map(({ client }) => client.close()));
    },
  };
}
