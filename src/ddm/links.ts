/**
 * A fixed number of connections to one directory pair, each made when it is first needed and made anew when it
 * broke or when the pair's primary is another one now. Waiting for one is bounded, in number and in time. While the pair
 * has no primary that can be reached, callers wait for one, as long as it has not been away for longer than that.
 */
import { type Clock, OVER } from '../base/clock.ts';
import type { PairId } from '../base/ids.ts';
import { CatalogUnavailable } from './catalog.ts';
import { addressOf, Link, type LinkTimeouts } from './link.ts';
import type { DirectoryLocator } from './locator.ts';

const WAITERS_MAX = 4096;
const AGAIN_MS = 100;

export interface LinksOptions {
  readonly pair: PairId;
  readonly locator: DirectoryLocator;
  readonly clock: Clock;
  readonly size: number;
  readonly timeouts: LinkTimeouts;
  /** How long a caller waits for its turn, and then for a primary. */
  readonly waitMs: number;
  readonly outage: Outage;
  /** What every new connection is told before its first statement. @throws when it cannot be told */
  readonly greet?: (link: Link) => Promise<void>;
}

/** Since when a pair has had no primary that could be reached: shared by all that ask it, so that only its first `waitMs` are waited out. */
export class Outage {
  readonly #clock: Clock;
  #since: number | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  over(): void {
    this.#since = null;
  }
  /** Of a try that has failed now: how long it has been so. */
  ageMs(): number {
    const now = this.#clock.monotonic();
    this.#since ??= now;
    return now - this.#since;
  }
}

/** The answer came from a server that is not, or not surely, the primary any more: it says nothing. */
export class PrimaryChanged extends Error {
  override readonly name = 'PrimaryChanged';
}

export class Links {
  readonly #o: LinksOptions;
  /** Those not in use; the last one used comes first. */
  readonly #idle: Link[] = [];
  readonly #waiters: { turn: () => void; refuse: (error: Error) => void }[] = [];
  #free: number;
  #closed = false;

  constructor(o: LinksOptions) {
    this.#o = o;
    this.#free = o.size;
  }

  /**
   * Gives `work` a connection of its own to whoever is the primary now; what it answers or throws counts when that one
   * still is the primary afterwards.
   * @throws {CatalogUnavailable} before `work` is called: no primary, no connection, no turn in time
   * @throws {PrimaryChanged} instead of what `work` said
   */
  async use<T>(work: (link: Link) => Promise<T>): Promise<T> {
    await this.#takeTurn();
    let link: Link | null = null;
    try {
      link = await this.#connect();
      const { settled, value, error } = await outcomeOf(work(link));
      // What was true of the server before says nothing: now its answer has been received.
      if (!this.trusts(link))
        throw new PrimaryChanged(`${link.address} is not the primary of ${this.#o.pair} any more`, {
          cause: error,
        });
      if (!settled) throw error;
      return value;
    } finally {
      if (link) this.#giveBack(link);
      this.#free++;
      const next = this.#waiters.shift();
      if (next) {
        this.#free--;
        next.turn();
      }
    }
  }

  #giveBack(link: Link): void {
    if (link.usable && !this.#closed && this.trusts(link)) this.#idle.push(link);
    else link.close();
  }

  async #takeTurn(): Promise<void> {
    if (this.#closed) throw new CatalogUnavailable('the catalog is closed');
    if (this.#free > 0) {
      this.#free--;
      return;
    }
    if (this.#waiters.length >= WAITERS_MAX) throw new CatalogUnavailable('too many wait for the directory');
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter = { turn: resolve, refuse: reject };
    this.#waiters.push(waiter);
    const served = new AbortController();
    this.#o.clock.sleep(this.#o.waitMs, served.signal).then(
      () => {
        const at = this.#waiters.indexOf(waiter);
        if (at < 0) return;
        this.#waiters.splice(at, 1);
        reject(new CatalogUnavailable('no turn at the directory in time'));
      },
      () => {},
    );
    try {
      await promise;
    } finally {
      served.abort(OVER);
    }
  }

  trusts(link: Link): boolean {
    const primary = this.#o.locator.primary(this.#o.pair);
    return primary !== null && addressOf(primary) === link.address;
  }

  async #connect(): Promise<Link> {
    const { clock, outage, waitMs } = this.#o;
    const until = clock.monotonic() + waitMs;
    for (;;) {
      try {
        const link = await this.#open();
        outage.over();
        return link;
      } catch (error) {
        const isLast = this.#closed || outage.ageMs() >= waitMs || clock.monotonic() + AGAIN_MS >= until;
        if (isLast || !(error instanceof CatalogUnavailable)) throw error;
        await clock.sleep(AGAIN_MS);
      }
    }
  }

  async #open(): Promise<Link> {
    const { pair, locator, clock, timeouts } = this.#o;
    const primary = locator.primary(pair);
    if (!primary) {
      // Whoever answers next is greeted anew: much may have been decided meanwhile.
      for (const link of this.#idle.splice(0)) link.close();
      throw new CatalogUnavailable(`nobody is known to answer for ${pair}`);
    }
    const address = addressOf(primary);
    for (let link = this.#idle.pop(); link; link = this.#idle.pop()) {
      if (link.usable && link.address === address) return link;
      link.close();
    }
    const link = await Link.open(primary, clock, timeouts);
    try {
      await this.#o.greet?.(link);
      return link;
    } catch (error) {
      link.close();
      throw error instanceof CatalogUnavailable
        ? error
        : new CatalogUnavailable(`the directory at ${address} could not be told what it must know`, {
            cause: error,
          });
    }
  }

  /** What is under way goes on, within its deadlines. */
  close(): void {
    this.#closed = true;
    for (const link of this.#idle.splice(0)) link.close();
    for (const waiter of this.#waiters.splice(0))
      waiter.refuse(new CatalogUnavailable('the catalog is closed'));
  }
}

type Settled<T> =
  | { readonly settled: true; readonly value: T; readonly error?: undefined }
  | { readonly settled: false; readonly value?: undefined; readonly error: unknown };

const outcomeOf = <T>(work: Promise<T>): Promise<Settled<T>> =>
  work.then(
    (value) => ({ settled: true, value }),
    (error: unknown) => ({ settled: false, error }),
  );
