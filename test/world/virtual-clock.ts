/**
 * A clock on which nothing waits in earnest: time jumps to the next timer as soon as no promise is left to run.
 * run() fails when its promise is still open after `limitMs` of virtual time or when no timer could settle it.
 */
import type { Clock } from '../../src/base/clock.ts';

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

const START = Date.UTC(2026, 0, 1);

export class VirtualClock implements Clock {
  #time = 0;
  #order = 0;
  #timers: Timer[] = [];

  now(): number {
    return START + this.#time;
  }

  monotonic(): number {
    return this.#time;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
        reject(signal!.reason);
      };
      const timer: Timer = {
        at: this.#time + Math.max(0, ms),
        order: this.#order++,
        fire: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#timers.push(timer);
    });
  }

  async run<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    const until = this.#time + limitMs;
    let isSettled = false;
    const settled = () => {
      isSettled = true;
    };
    promise.then(settled, settled);
    for (;;) {
      await new Promise(setImmediate);
      if (isSettled) return await promise;
      this.#fireNext(until);
    }
  }

  #fireNext(until: number): void {
    const next = this.#timers.reduce<Timer | null>(
      (best, timer) =>
        !best || timer.at < best.at || (timer.at === best.at && timer.order < best.order) ? timer : best,
      null,
    );
    if (!next) throw new Error('nothing is left that could settle the promise');
    if (next.at > until) throw new Error('the promise is still open after its virtual time');
    this.#timers = this.#timers.filter((timer) => timer !== next);
    this.#time = next.at;
    next.fire();
  }
}
