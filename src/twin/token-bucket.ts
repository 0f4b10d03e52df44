/** At most so many events a second, and as many at once. Pure: the time is an argument (monotonic, ms). */
export class TokenBucket {
  readonly #perSecond: number;
  #tokens: number;
  #at = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number) {
    this.#perSecond = perSecond;
    this.#tokens = perSecond;
  }

  /** Whether one more may pass now. */
  take(now: number): boolean {
    if (this.#at > Number.NEGATIVE_INFINITY) {
      const grown = this.#tokens + (Math.max(0, now - this.#at) * this.#perSecond) / 1_000;
      this.#tokens = Math.min(this.#perSecond, grown);
    }
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
