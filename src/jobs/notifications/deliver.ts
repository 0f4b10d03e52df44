/**
 * Delivers the queue of one webhook on one directory pair: so many requests at once, of a key never more than one, under a lease
 * that outlasts every request begun under it. What became of attempts is settled in batches; whatever is not settled is sent
 * again. A target that keeps failing is left alone for longer and longer, then asked with one request at a time.
 */
import type { Logger } from 'pino';
import type { Clock, Random } from '../../base/clock.ts';
import type { PairId } from '../../base/ids.ts';
import type { NotificationQueue, QueuedNotification } from '../../ddm/notification-queue.ts';
import type { Attempt, WebhookClient, WebhookTarget } from './webhook.ts';

export interface DeliveryTimings {
  /** Between looks at a queue in which nothing is due. */
  readonly pollMs: number;
  /** Before the second attempt; doubled with each, up to the most. */
  readonly backoffMs: number;
  readonly backoffMsMax: number;
}
export interface DeliveryCounts {
  delivered: number;
  failed: number;
  dead: number;
}
export interface DeliveryOptions {
  readonly queue: Pick<NotificationQueue, 'leaseNotifications' | 'dueNotifications' | 'settleNotifications'>;
  readonly pair: PairId;
  readonly target: WebhookTarget;
  readonly client: Pick<WebhookClient, 'send'>;
  readonly owner: string;
  readonly timings: DeliveryTimings;
  readonly counts: DeliveryCounts;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Logger, 'info' | 'warn'>;
}

/** A refusal that repeating does not mend is repeated so often all the same: receivers are restarted and mended, too. */
const REFUSED_ATTEMPTS_MAX = 5;
const FAILURES_IN_A_ROW = 3;
const ERROR_CHARS_MAX = 500;
const LEASE_MARGIN_MS = 1_000;

export const leaseMsOf = (target: Pick<WebhookTarget, 'timeoutMs'>): number => 2 * target.timeoutMs + 10_000;

interface Ended {
  readonly item: QueuedNotification;
  readonly attempt: Attempt;
}

export class Delivery {
  readonly #o: DeliveryOptions;
  readonly #inHand = new Map<number, QueuedNotification>();
  #ended: Ended[] = [];
  #leasedUntil = Number.NEGATIVE_INFINITY;
  /** Failures in a row that were the target's, and until when it is left alone. */
  #failures = 0;
  #restUntil = Number.NEGATIVE_INFINITY;
  #wake: () => void = () => {};

  constructor(o: DeliveryOptions) {
    this.#o = o;
  }

  /** Until the signal. @throws what the catalog throws; call again: what was in hand is then forgotten, and sent again */
  async run(signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const onAbort = () => stop.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    const running = new Set<Promise<void>>();
    try {
      for (;;) {
        signal.throwIfAborted();
        await this.#settle();
        const begun = await this.#take();
        for (const item of begun) {
          const attempt = this.#attempt(item, stop.signal).finally(() => running.delete(attempt));
          running.add(attempt);
        }
        if (begun.length === 0 && this.#ended.length === 0) await this.#pause(signal);
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      stop.abort(new Error('deliveries are stopping'));
      await Promise.all(running);
      // Shutting down: what has been answered is not sent again.
      if (signal.aborted) await this.#settle().catch(() => {});
      this.#inHand.clear();
      this.#ended = [];
    }
  }

  /** Until something in hand has ended, or for a poll. */
  async #pause(signal: AbortSignal): Promise<void> {
    const { clock, random, timings } = this.#o;
    const over = new AbortController();
    const onAbort = () => over.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    this.#wake = () => over.abort(new Error('woken'));
    await clock.sleep(timings.pollMs * (0.5 + random()), over.signal).catch(() => {});
    this.#wake = () => {};
    signal.removeEventListener('abort', onAbort);
  }

  async #take(): Promise<readonly QueuedNotification[]> {
    const { queue, pair, target, clock } = this.#o;
    if (clock.monotonic() < this.#restUntil) return [];
    const atOnce = this.#failures >= FAILURES_IN_A_ROW ? 1 : target.concurrency;
    const free = atOnce - this.#inHand.size;
    if (free <= 0) return [];
    const without = [...this.#inHand.keys()];
    let due = await queue.dueNotifications(pair, target.name, without, free);
    if (due.length === 0) return [];
    if (!this.#covers()) {
      const askedAt = clock.monotonic();
      if (!(await queue.leaseNotifications(pair, target.name, this.#o.owner, leaseMsOf(target)))) {
        this.#restUntil = askedAt + 4 * this.#o.timings.pollMs;
        return [];
      }
      this.#leasedUntil = askedAt + leaseMsOf(target);
      // Before the lease another gateway may have taken some of them, and be done with them.
      due = await queue.dueNotifications(pair, target.name, without, free);
    }
    for (const item of due) this.#inHand.set(item.id, item);
    return due;
  }

  /** Whether a request that begins now ends within the lease. */
  #covers(): boolean {
    const { clock, target } = this.#o;
    return this.#leasedUntil - clock.monotonic() > target.timeoutMs + LEASE_MARGIN_MS;
  }

  async #attempt(item: QueuedNotification, signal: AbortSignal): Promise<void> {
    const attempt = await this.#o.client.send(item, signal);
    // Stopped by us: nobody knows what the receiver has done.
    if (signal.aborted && attempt.outcome !== 'delivered') return;
    this.#ended.push({ item, attempt });
    this.#wake();
  }

  async #settle(): Promise<void> {
    const ended = this.#ended;
    if (ended.length === 0) return;
    this.#ended = [];
    const { queue, pair, target, owner, counts } = this.#o;
    const delivered: number[] = [];
    const failed: { id: number; error: string; dueInMs: number }[] = [];
    const dead: { id: number; error: string }[] = [];
    for (const { item, attempt } of ended) {
      if (attempt.outcome === 'delivered') {
        delivered.push(item.id);
        continue;
      }
      const error = attempt.error.slice(0, ERROR_CHARS_MAX);
      if (this.#isOver(item, attempt.refused)) dead.push({ id: item.id, error });
      else failed.push({ id: item.id, error, dueInMs: this.#dueInMs(item.attempts, attempt.retryAfterMs) });
    }
    const isOurs = await queue.settleNotifications(pair, target.name, owner, { delivered, failed, dead });
    for (const { item, attempt } of ended) {
      this.#inHand.delete(item.id);
      this.#judge(attempt);
    }
    if (!isOurs) {
      this.#leasedUntil = Number.NEGATIVE_INFINITY;
      return;
    }
    counts.delivered += delivered.length;
    counts.failed += failed.length;
    counts.dead += dead.length;
  }

  #isOver(item: QueuedNotification, refused: boolean): boolean {
    const { target, clock } = this.#o;
    if (refused && item.attempts + 1 >= REFUSED_ATTEMPTS_MAX) return true;
    return clock.now() - item.queuedAt.getTime() >= target.retryForMs;
  }

  #dueInMs(attempts: number, retryAfterMs = 0): number {
    const { backoffMs, backoffMsMax } = this.#o.timings;
    const pause = Math.min(backoffMs * 2 ** Math.min(attempts, 30), backoffMsMax) * (0.5 + this.#o.random());
    return Math.max(pause, retryAfterMs);
  }

  #judge(attempt: Attempt): void {
    const { clock, log, pair, target, timings } = this.#o;
    // A target that refuses is there.
    if (attempt.outcome === 'delivered' || attempt.refused) {
      if (this.#failures >= FAILURES_IN_A_ROW)
        log.info({ pair, target: target.name }, 'the webhook answers again');
      this.#failures = 0;
      this.#restUntil = Number.NEGATIVE_INFINITY;
      return;
    }
    this.#failures += 1;
    const over = this.#failures - FAILURES_IN_A_ROW;
    if (over < 0) return;
    if (over === 0)
      log.warn({ pair, target: target.name, error: attempt.error }, 'the webhook keeps failing');
    const restMs = Math.min(timings.backoffMs * 2 ** Math.min(over, 30), timings.backoffMsMax);
    this.#restUntil = clock.monotonic() + restMs * (0.5 + this.#o.random() / 2);
  }
}
