/**
 * A fixed number of connections to one directory pair, each made when it is first needed and made anew when it
 * broke or when the pair's primary is another one now. Waiting for one is bounded, in number and in time.
 */
import { type Clock, OVER } from '../base/clock.ts';
import type { PairId } from '../base/ids.ts';
import { CatalogUnavailable } from './catalog.ts';
import { addressOf, Link, type LinkTimeouts } from './link.ts';
import type { DirectoryLocator } from './locator.ts';

const WAITERS_MAX = 4096;

export interface LinksOptions {
  readonly pair: PairId;
  readonly locator: DirectoryLocator;
  readonly clock: Clock;
  readonly size: number;
  readonly timeouts: LinkTimeouts;
  /** How long a caller waits for its turn. */
  readonly waitMs: number;
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
   * Gives `work` a connection of its own to whoever is the primary now.
   * @throws {CatalogUnavailable} before `work` is called: no primary, no connection, no turn in time
   */
  async use<T>(work: (link: Link) => Promise<T>): Promise<T> {
    await this.#takeTurn();
    let link: Link | null = null;
    try {
      link = await this.#connect();
      return await work(link);
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
    if (link.usable && !this.#closed) this.#idle.push(link);
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

  async #connect(): Promise<Link> {
    const { pair, locator, clock, timeouts } = this.#o;
    const primary = locator.primary(pair);
    if (!primary) throw new CatalogUnavailable(`nobody is known to answer for ${pair}`);
    const address = addressOf(primary);
    for (let link = this.#idle.pop(); link; link = this.#idle.pop()) {
      if (link.usable && link.address === address) return link;
      link.close();
    }
    return await Link.open(primary, clock, timeouts);
  }

  /** What is under way goes on, within its deadlines. */
  close(): void {
    this.#closed = true;
    for (const link of this.#idle.splice(0)) link.close();
    for (const waiter of this.#waiters.splice(0))
      waiter.refuse(new CatalogUnavailable('the catalog is closed'));
  }
}
