/**
 * Work that many want at once and that is done once: callers of the same key share it, its result is remembered for a
 * moment, so many keys are worked on at once and so many wait, not for longer than a deadline. Never rejects.
 */
import { type Clock, OVER } from './clock.ts';

export interface SingleFlightOptions<T> {
  readonly clock: Clock;
  /** The result where there is no room, no time, or the work threw. */
  readonly otherwise: () => T;
  readonly atOnce: number;
  readonly waitingMax: number;
  readonly waitMs: number;
  readonly rememberMs: number;
  readonly rememberedMax: number;
}

export class SingleFlight<T> {
  readonly #options: SingleFlightOptions<T>;
  readonly #flying = new Map<string, Promise<T>>();
  /** In the order in which they end; the oldest first. */
  readonly #remembered = new Map<string, { readonly result: T; readonly at: number }>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: SingleFlightOptions<T>) {
    this.#options = options;
  }

  run(key: string, work: () => Promise<T>): Promise<T> {
    const { clock, rememberMs } = this.#options;
    const known = this.#remembered.get(key);
    if (known && clock.monotonic() - known.at < rememberMs) return Promise.resolve(known.result);
    const flying = this.#flying.get(key);
    if (flying) return flying;
    const flight = this.#fly(key, work);
    this.#flying.set(key, flight);
    return flight;
  }

  async #fly(key: string, work: () => Promise<T>): Promise<T> {
    try {
      if (!(await this.#mayRun())) return this.#options.otherwise();
      try {
        const result = await work();
        this.#remember(key, result);
        return result;
      } finally {
        this.#next();
      }
    } catch {
      return this.#options.otherwise();
    } finally {
      this.#flying.delete(key);
    }
  }

  async #mayRun(): Promise<boolean> {
    const { atOnce, waitingMax, waitMs, clock } = this.#options;
    if (this.#running < atOnce) {
      this.#running += 1;
      return true;
    }
    if (this.#waiting.length >= waitingMax) return false;
    const over = new AbortController();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const turn = (): void => resolve(true); // the place is handed over, so that `#running` stays
    this.#waiting.push(turn);
    clock.sleep(waitMs, over.signal).then(
      () => {
        const at = this.#waiting.indexOf(turn);
        if (at >= 0) this.#waiting.splice(at, 1);
        if (at >= 0) resolve(false);
      },
      () => {},
    );
    const may = await promise;
    over.abort(OVER);
    return may;
  }

  #next(): void {
    const turn = this.#waiting.shift();
    if (turn) turn();
    else this.#running -= 1;
  }

  #remember(key: string, result: T): void {
    const { clock, rememberedMax } = this.#options;
    this.#remembered.delete(key);
    this.#remembered.set(key, { result, at: clock.monotonic() });
    for (const old of this.#remembered.keys()) {
      if (this.#remembered.size <= rememberedMax) break;
      this.#remembered.delete(old);
    }
  }
}
