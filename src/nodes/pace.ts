/** Spreads bytes over time: after a taking of n bytes the next one waits n / rate seconds. Shared by all its takers. */
import type { Clock } from '../base/clock.ts';

/** So that a new rate, or the end, is noticed within a long wait. */
const STEP_MS = 1_000;

export class Pace {
  readonly #clock: Clock;
  /** 0: no limit. */
  bytesPerSecondMax: number;
  #freeAt = 0;

  constructor(clock: Clock, bytesPerSecondMax: number) {
    this.#clock = clock;
    this.bytesPerSecondMax = bytesPerSecondMax;
  }

  /** `waiting` is called at every step of a wait. Rejects with the signal's reason. */
  async take(bytes: number, signal: AbortSignal, waiting: () => void = () => {}): Promise<void> {
    signal.throwIfAborted();
    if (this.bytesPerSecondMax === 0) return;
    const now = this.#clock.monotonic();
    const mineAt = Math.max(this.#freeAt, now);
    this.#freeAt = mineAt + (bytes / this.bytesPerSecondMax) * 1_000;
    for (let left = mineAt - now; left > 0; left = mineAt - this.#clock.monotonic()) {
      await this.#clock.sleep(Math.min(left, STEP_MS), signal);
      waiting();
    }
  }
}
