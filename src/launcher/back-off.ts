/** How long to wait before the next start of what keeps failing: twice as long each time, until it has been calm. */
const FIRST_MS = 250;
const MAX_MS = 15_000;
const CALM_MS = 60_000;

export class BackOff {
  #count = 0;
  #at = Number.NEGATIVE_INFINITY;
  /** Monotonic milliseconds, as `now` is. */
  until = 0;

  failed(now: number): void {
    this.#count = now - this.#at > CALM_MS ? 0 : this.#count + 1;
    this.#at = now;
    this.until = now + Math.min(FIRST_MS * 2 ** this.#count, MAX_MS);
  }
}
