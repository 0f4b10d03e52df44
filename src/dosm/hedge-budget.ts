/**
 * How many reads may be hedged: at most one in ten over time, and a handful at once. One slow node is hedged around at
 * once; when everything is slow, asking twice for everything would only make it slower.
 */
const TOKENS_MAX = 10;
const TOKENS_PER_READ = 0.1;

export class HedgeBudget {
  #tokens = TOKENS_MAX;

  /** A read has begun. */
  earn(): void {
    this.#tokens = Math.min(TOKENS_MAX, this.#tokens + TOKENS_PER_READ);
  }

  get isLeft(): boolean {
    return this.#tokens >= 1;
  }

  /** A read has been hedged. */
  spend(): void {
    this.#tokens -= 1;
  }
}
