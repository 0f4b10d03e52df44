/**
 * One directory pair: reads, single writes, combined lookups and combined commits, each with its three outcomes.
 *
 * A commit's outcome is unknown when its connection ended under it (at the deadline, too) or when it succeeded beside
 * a warning that its wait for the twin was cut short. It is then looked for by its write id on whoever is the
 * primary; what is found is only believed after a commit made behind it has reached the twin.
 *
 * No answer counts that comes from a server which is not the primary any more when it arrives: a read is asked again of
 * whoever is the primary then, a commit's outcome is unknown.
 */
import type { Clock } from '../base/clock.ts';
import type { Epoch, PairId } from '../base/ids.ts';
import { type CatalogStatus, CatalogUnavailable } from './catalog.ts';
import { Combiner } from './combiner.ts';
import { type Answer, Link, type Row } from './link.ts';
import { Links, Outage, PrimaryChanged } from './links.ts';
import type { DirectoryLocator } from './locator.ts';
import type { CatalogOptions } from './options.ts';
import { fateOf } from './sqlstate.ts';
import { type Statement, statement } from './statements.ts';

/** An operation of antipode.commit_batch: what identifies it here, and its document. */
export interface Operation {
  readonly bucketId: number;
  readonly key: string;
  readonly writeId: string;
  readonly json: string;
}
/** What the directory says of one operation, or that nobody can say. */
export type CommitAnswer = Row | 'unknown';

export interface Lookup {
  readonly bucketId: number;
  readonly key: string;
  /** '' for the latest version. */
  readonly versionId: string;
  /** The place in commit order that a version id names; -1 when it names none. */
  readonly seq: number;
}

const COMMIT_BATCH = statement('commit-batch');
const FIND_VERSIONS = statement('find-versions');
const RESOLVE_WRITES = statement('resolve-writes');
const BARRIER = statement('barrier');
const STATUS = statement('status');

const COMMIT_LANES = 2;
const COMMIT_BATCH_MAX = 64;
const LOOKUP_LANES = 4;
const LOOKUP_BATCH_MAX = 32;
const GENERAL_CONNECTIONS = 4;
const QUEUE_MAX = 4096;
const ATTEMPTS_MAX = 3;
const RESOLVE_PAUSE_MS = 100;

export class Directory {
  readonly pair: PairId;
  readonly #locator: DirectoryLocator;
  readonly #clock: Clock;
  readonly #o: CatalogOptions;
  readonly #general: Links;
  readonly #forCommits: Links;
  readonly #forLookups: Links;
  readonly commits: Combiner<Operation, CommitAnswer>;
  readonly lookups: Combiner<Lookup, Row>;

  /** `greet`: what every connection that may write is told first. */
  constructor(pair: PairId, o: CatalogOptions, greet?: (link: Link) => Promise<void>) {
    const { locator, clock, timeouts } = o;
    this.pair = pair;
    this.#locator = locator;
    this.#clock = clock;
    this.#o = o;
    const outage = new Outage(clock);
    const links = (size: number, first?: (link: Link) => Promise<void>) =>
      new Links({
        ...{ pair, locator, clock, size, timeouts, waitMs: timeouts.waitMs, outage },
        ...(first && { greet: first }),
      });
    this.#general = links(GENERAL_CONNECTIONS, greet);
    this.#forCommits = links(COMMIT_LANES, greet);
    this.#forLookups = links(LOOKUP_LANES);
    const shared = { clock, queueMax: QUEUE_MAX, waitMs: timeouts.waitMs };
    this.commits = new Combiner<Operation, CommitAnswer>({
      ...shared,
      lanes: COMMIT_LANES,
      batchMax: COMMIT_BATCH_MAX,
      keyOf: (operation) => `${operation.bucketId}/${operation.key}`,
      run: (batch) => this.#commit(batch),
    });
    this.lookups = new Combiner<Lookup, Row>({
      ...shared,
      lanes: LOOKUP_LANES,
      batchMax: LOOKUP_BATCH_MAX,
      keyOf: () => null,
      run: (batch) => this.#find(batch),
    });
  }

  /**
   * Tries again where a connection was lost or the primary is another one now, all within readMs beside the wait for a
   * primary. @throws {CatalogUnavailable}
   */
  async read(
    s: Statement,
    values: readonly unknown[],
    links: Links = this.#general,
  ): Promise<readonly Row[]> {
    const { readMs, waitMs } = this.#o.timeouts;
    const until = this.#clock.monotonic() + readMs + waitMs;
    const left = () => Math.min(readMs, Math.max(1, until - this.#clock.monotonic()));
    for (let attempt = 1; ; attempt++) {
      try {
        return (await links.use((link) => link.query(s, values, left()))).rows;
      } catch (error) {
        if (error instanceof CatalogUnavailable) throw error;
        const fate = error instanceof PrimaryChanged ? 'retry' : fateOf(error);
        if (fate === 'failed' || fate === 'duplicate') throw error;
        // A connection that was lost while idle shows only now: a new one may do.
        const isOver = attempt >= ATTEMPTS_MAX || this.#clock.monotonic() >= until;
        if (fate === 'unavailable' || isOver)
          throw new CatalogUnavailable(`the directory ${this.pair} did not answer`, { cause: error });
      }
    }
  }

  /**
   * One statement that changes something.
   * @throws {CatalogUnavailable} when it has certainly not taken effect
   */
  async write(
    s: Statement,
    values: readonly unknown[],
    links: Links = this.#general,
  ): Promise<Answer | 'unknown'> {
    for (let attempt = 1; ; attempt++) {
      try {
        const answer = await links.use((link) => link.query(s, values, this.#o.timeouts.commitMs));
        return answer.unreplicated ? this.#unknown(s, 'not confirmed by the twin') : answer;
      } catch (error) {
        if (error instanceof CatalogUnavailable) throw error;
        const fate = error instanceof PrimaryChanged ? 'unknown' : fateOf(error);
        if (fate === 'unknown')
          return this.#unknown(s, error instanceof Error ? error.message : String(error));
        if (fate === 'failed' || fate === 'duplicate') throw error;
        if (fate === 'unavailable' || attempt >= ATTEMPTS_MAX)
          throw new CatalogUnavailable(`the directory ${this.pair} does not take writes`, { cause: error });
      }
    }
  }

  #unknown(s: Statement, why: string): 'unknown' {
    this.#o.log.warn({ pair: this.pair, statement: s.name, why }, 'the outcome of a commit is unknown');
    return 'unknown';
  }

  async #find(batch: readonly Lookup[]): Promise<readonly Row[]> {
    const values = [
      batch.map((lookup) => lookup.bucketId),
      batch.map((lookup) => lookup.key),
      batch.map((lookup) => lookup.versionId),
      batch.map((lookup) => lookup.seq),
    ];
    const found: Row[] = [];
    for (const row of await this.read(FIND_VERSIONS, values, this.#forLookups))
      found[Number(row.ord) - 1] = row;
    return found;
  }

  async #commit(batch: readonly Operation[]): Promise<readonly (CommitAnswer | Error)[]> {
    const json = `[${batch.map((operation) => operation.json).join(',')}]`;
    let answer: Answer | 'unknown';
    try {
      answer = await this.write(COMMIT_BATCH, [json, this.#o.intentMs], this.#forCommits);
    } catch (error) {
      if (error instanceof CatalogUnavailable) throw error;
      // Rolled back as a whole: the one whose data is at fault must not fail its neighbours.
      if (batch.length > 1) {
        const alone: (CommitAnswer | Error)[] = [];
        for (const operation of batch)
          alone.push(...(await this.#commit([operation]).catch((e: Error) => [e])));
        return alone;
      }
      if (fateOf(error) !== 'duplicate') throw error;
      // The write id is there: this very write has been committed before.
      answer = 'unknown';
    }
    if (answer === 'unknown') {
      const resolved = await this.resolve(batch.map((operation) => operation.writeId));
      return batch.map((operation) => resolved.get(operation.writeId) ?? 'unknown');
    }
    return answer.rows[0]?.answer as readonly Row[];
  }

  /**
   * What became of the writes of one transaction, as far as can be found out in time. It shows as a whole: when one of
   * them is found, those that are not were refused or had nothing to do, but nobody knows which, so they stay unknown.
   */
  async resolve(writeIds: readonly string[]): Promise<ReadonlyMap<string, Row>> {
    const found = await this.resolveBy(RESOLVE_WRITES, [writeIds], (rows) =>
      rows.length === 0 ? null : new Map(rows.map((row) => [String(row.event), row.answer as Row])),
    );
    return found ?? new Map();
  }

  /**
   * Asks until `accept` is content or time is up, each time on a connection of its own to whoever is the primary.
   * The answer counts when a commit made after it has been confirmed by the twin: then what it saw is there too.
   */
  async resolveBy<T>(
    s: Statement,
    values: readonly unknown[],
    accept: (rows: readonly Row[]) => T | null,
  ): Promise<T | null> {
    const until = this.#clock.monotonic() + this.#o.timeouts.resolveMs;
    const left = () => Math.max(1, until - this.#clock.monotonic());
    while (this.#clock.monotonic() < until) {
      const primary = this.#locator.primary(this.pair);
      const link = primary && (await Link.open(primary, this.#clock, this.#o.timeouts).catch(() => null));
      try {
        const found = link && accept((await link.query(s, values, left())).rows);
        const isSure = found !== null && !(await link!.query(BARRIER, [], left())).unreplicated;
        if (isSure && this.#general.trusts(link!)) return found;
      } catch (error) {
        this.#o.log.debug({ pair: this.pair, err: error }, 'could not look for the outcome of a commit');
      } finally {
        link?.close();
      }
      await this.#clock.sleep(Math.min(RESOLVE_PAUSE_MS, left()));
    }
    return null;
  }

  async status(): Promise<CatalogStatus> {
    const away = { pair: this.pair, writable: false, synchronous: false };
    const rows = await this.read(STATUS, []).catch((error: unknown) => {
      if (error instanceof CatalogUnavailable) return [];
      throw error;
    });
    const row = rows[0];
    if (!row) return away;
    const { writable, synchronous, timeline } = row;
    const epoch = timeline === null ? {} : { epoch: timeline as Epoch };
    return { pair: this.pair, writable: writable === true, synchronous: synchronous === true, ...epoch };
  }

  close(): void {
    this.commits.close();
    this.lookups.close();
    for (const links of [this.#general, this.#forCommits, this.#forLookups]) links.close();
  }
}
