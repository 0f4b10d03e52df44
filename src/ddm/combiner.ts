/**
 * Combines what is asked at the same time into one statement. Whatever has gathered while the lanes were busy
 * makes the next batch: alone, an item goes at once; under load, batches grow by themselves.
 * Measured: 64 waiting upserts, 16 connections one by one 6,500 rows/s, combined on 2 connections 20,500.
 *
 * A key stands once per batch and in one batch at a time: a second item of the key waits for the first one's end
 * here, rather than in the database, where it would keep its whole batch waiting for a lock.
 */
import type { Clock } from '../base/clock.ts';
import { CatalogUnavailable } from './catalog.ts';

export interface CombinerOptions<I, O> {
  readonly clock: Clock;
  /** Statements under way at once. */
  readonly lanes: number;
  readonly batchMax: number;
  readonly queueMax: number;
  /** How long an item may wait for its statement to begin. */
  readonly waitMs: number;
  /** Items with the same key never share a batch; null: no such care. */
  readonly keyOf: (item: I) => string | null;
  /** One result per item, in order; an Error rejects its item alone. */
  readonly run: (items: readonly I[]) => Promise<readonly (O | Error)[]>;
}

interface Waiting<I, O> {
  readonly item: I;
  readonly key: string | null;
  readonly until: number;
  readonly resolve: (value: O) => void;
  readonly reject: (error: unknown) => void;
}

export class Combiner<I, O> {
  readonly #o: CombinerOptions<I, O>;
  #queue: Waiting<I, O>[] = [];
  readonly #busyKeys = new Set<string>();
  #busyLanes = 0;
  #scheduled = false;
  #watching = false;
  readonly #closed = new AbortController();

  constructor(options: CombinerOptions<I, O>) {
    this.#o = options;
  }

  /** @throws {CatalogUnavailable} when the item was never sent: the queue is full, or its turn did not come in time */
  add(item: I): Promise<O> {
    if (this.#closed.signal.aborted) return Promise.reject(new CatalogUnavailable('the catalog is closed'));
    if (this.#queue.length >= this.#o.queueMax)
      return Promise.reject(new CatalogUnavailable('too many wait for the directory'));
    const { promise, resolve, reject } = Promise.withResolvers<O>();
    const until = this.#o.clock.monotonic() + this.#o.waitMs;
    this.#queue.push({ item, key: this.#o.keyOf(item), until, resolve, reject });
    this.#schedule();
    this.#watch();
    return promise;
  }

  /** After the sockets that are readable now have been read, so that their requests go together. */
  #schedule(): void {
    if (this.#scheduled || this.#busyLanes >= this.#o.lanes) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#start();
    });
  }

  #start(): void {
    while (this.#busyLanes < this.#o.lanes) {
      const batch = this.#takeBatch();
      if (batch.length === 0) return;
      void this.#send(batch);
    }
  }

  #takeBatch(): Waiting<I, O>[] {
    const batch: Waiting<I, O>[] = [];
    const left: Waiting<I, O>[] = [];
    let at = 0;
    for (; at < this.#queue.length && batch.length < this.#o.batchMax; at++) {
      const waiting = this.#queue[at]!;
      if (waiting.key !== null && this.#busyKeys.has(waiting.key)) {
        left.push(waiting);
        continue;
      }
      if (waiting.key !== null) this.#busyKeys.add(waiting.key);
      batch.push(waiting);
    }
    if (batch.length > 0) this.#queue = left.concat(this.#queue.slice(at));
    return batch;
  }

  async #send(batch: readonly Waiting<I, O>[]): Promise<void> {
    this.#busyLanes++;
    let results: readonly (O | Error)[];
    try {
      results = await this.#o.run(batch.map((waiting) => waiting.item));
    } catch (error) {
      results = batch.map(() => (error instanceof Error ? error : new Error(String(error))));
    }
    this.#busyLanes--;
    batch.forEach((waiting, i) => {
      if (waiting.key !== null) this.#busyKeys.delete(waiting.key);
      const result = results[i];
      if (result === undefined) waiting.reject(new Error('a batch was answered in part'));
      else if (result instanceof Error) waiting.reject(result);
      else waiting.resolve(result);
    });
    if (this.#queue.length > 0) this.#schedule();
  }

  /** One watch for the whole queue: it is in order of arrival, so the first one expires first. */
  #watch(): void {
    const first = this.#queue[0];
    if (this.#watching || !first) return;
    this.#watching = true;
    const ms = Math.max(1, first.until - this.#o.clock.monotonic());
    this.#o.clock.sleep(ms, this.#closed.signal).then(
      () => {
        this.#watching = false;
        const now = this.#o.clock.monotonic();
        const expired = this.#queue.filter((waiting) => waiting.until <= now);
        if (expired.length > 0) this.#queue = this.#queue.filter((waiting) => waiting.until > now);
        for (const waiting of expired)
          waiting.reject(new CatalogUnavailable('no turn at the directory in time'));
        this.#watch();
      },
      () => {},
    );
  }

  /** What waits is refused; what is under way goes on. */
  close(): void {
    this.#closed.abort();
    for (const waiting of this.#queue.splice(0))
      waiting.reject(new CatalogUnavailable('the catalog is closed'));
  }
}
