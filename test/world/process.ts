/**
 * One run of a simulated process, from its start to its kill: the clock of everything that runs in it. While it is
 * stopped nothing in it goes on (timers and arrivals wait, and come in their order afterwards); after kill() nothing
 * in it ever goes on again, so what it had begun stays as it stood.
 */
import type { Clock } from '../../src/base/clock.ts';
import type { Timer, VirtualClock } from './virtual-clock.ts';

export class Process implements Clock {
  readonly id: string;
  readonly base: VirtualClock;
  /** Of the wall clock, against the world's. */
  readonly skewMs: number;
  readonly startedAt: number;
  isStopped = false;
  isDead = false;
  #waiting: (() => void)[] = [];
  readonly #onKill = new Set<() => void>();

  constructor(id: string, base: VirtualClock, skewMs = 0) {
    this.id = id;
    this.base = base;
    this.skewMs = skewMs;
    this.startedAt = base.monotonic();
  }

  now(): number {
    return this.base.now() + this.skewMs;
  }

  monotonic(): number {
    return this.base.monotonic();
  }

  /** In this process: now, when it goes on, or never. */
  run(action: () => void): void {
    if (this.isDead) return;
    if (this.isStopped) this.#waiting.push(action);
    else action();
  }

  after(ms: number, fire: () => void): Timer {
    return this.base.after(ms, () => this.run(fire));
  }

  cancel(timer: Timer): void {
    timer.fire = null;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      let isOver = false;
      const onAbort = () => {
        if (isOver) return;
        isOver = true;
        this.cancel(timer);
        reject(signal!.reason);
      };
      const timer = this.after(ms, () => {
        if (isOver) return;
        isOver = true;
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  stop(): void {
    this.isStopped = true;
  }

  cont(): void {
    this.isStopped = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const action of waiting) this.run(action);
  }

  kill(): void {
    if (this.isDead) return;
    this.isDead = true;
    this.#waiting = [];
    for (const tell of this.#onKill) tell();
    this.#onKill.clear();
  }

  /** Called by the kernel, not by the process: its connections are reset. Answers how to take it back. */
  onKill(tell: () => void): () => void {
    this.#onKill.add(tell);
    return () => this.#onKill.delete(tell);
  }
}
