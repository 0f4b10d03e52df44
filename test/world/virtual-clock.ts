/**
 * A clock on which nothing waits in earnest: time jumps to the next timer as soon as no promise is left to run.
 * run() fails when its promise is still open after `limitMs` of virtual time or when no timer could settle it.
 */
import type { Clock } from '../../src/base/clock.ts';

export interface Timer {
  readonly at: number;
  readonly order: number;
  /** null: cancelled. */
  fire: (() => void) | null;
}

const START = Date.UTC(2026, 0, 1);
const isBefore = (a: Timer, b: Timer): boolean => a.at < b.at || (a.at === b.at && a.order < b.order);

export class VirtualClock implements Clock {
  #time = 0;
  #order = 0;
  /** A binary heap, the next one first. */
  readonly #timers: Timer[] = [];

  now(): number {
    return START + this.#time;
  }

  monotonic(): number {
    return this.#time;
  }

  /** Calls `fire` after `ms`, unless `cancel` comes first. Those of one moment fire in the order of their making. */
  after(ms: number, fire: () => void): Timer {
    const timer: Timer = { at: this.#time + Math.max(0, ms), order: this.#order++, fire };
    this.#push(timer);
    return timer;
  }

  cancel(timer: Timer): void {
    timer.fire = null;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        this.cancel(timer);
        reject(signal!.reason);
      };
      const timer = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
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
    let next = this.#pop();
    while (next && !next.fire) next = this.#pop();
    if (!next) throw new Error('nothing is left that could settle the promise');
    if (next.at > until) throw new Error('the promise is still open after its virtual time');
    this.#time = next.at;
    next.fire!();
  }

  #push(timer: Timer): void {
    const heap = this.#timers;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(timer, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): Timer | undefined {
    const heap = this.#timers;
    const first = heap[0];
    const last = heap.pop();
    if (!last || last === first) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
