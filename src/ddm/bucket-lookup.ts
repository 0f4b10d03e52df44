/**
 * From a bucket's name to its row: the root pair's list names the pair, the pair's primary gives the row. Where the list is
 * late or cannot be read, and where the pair that it names has no such row, the bucket is searched for (find-bucket.ts).
 *
 * With the list at hand, what is not on it is not there, and nothing is searched. Without it, nobody says that a bucket is
 * not there: a bucket that moves may be in neither of two pairs that are read one after the other.
 */
import type { Clock } from '../base/clock.ts';
import { OVER } from '../base/clock.ts';
import type { BucketId, PairId } from '../base/ids.ts';
import { type Bucket, type BucketLocation, CatalogUnavailable } from './catalog.ts';
import { type Directories, directoryForName, placeOf } from './directories.ts';
import { createNameFinder } from './find-bucket.ts';
import type { Row } from './link.ts';
import { bucketOf } from './mapping.ts';
import type { CatalogOptions } from './options.ts';
import { statement } from './statements.ts';

const FIND_BUCKET_NAME = statement('find-bucket-name');
const FIND_BUCKET = statement('find-bucket');
const FIND_BUCKET_BY_NAME = statement('find-bucket-by-name');

/** The root pair is asked no longer than this before others are asked too. */
const LIST_PATIENCE_MS = 500;
/** After a failure, and before the next one asks it again. */
const LIST_PAUSE_MS = 500;
/** Between two looks at a bucket that is on its way. */
const ARRIVAL_LOOK_MS = 50;

export interface BucketLookup {
  /** `isFresh`: it was read just now. @throws {CatalogUnavailable} when nobody can say where it is, or that it is not */
  find(name: string): Promise<{ readonly bucket: Bucket | null; readonly isFresh: boolean }>;
  /** By the pair's primary. */
  rowOf(id: unknown, pair: PairId): Promise<Bucket | null>;
  locate(name: string, how?: { readonly search: boolean }): Promise<BucketLocation>;
  close(): void;
}

export function openBucketLookup(directories: Directories, o: CatalogOptions): BucketLookup {
  const compute = (name: string) => directoryForName(name, directories.pairs());
  const finder = createNameFinder({
    pairs: () => directories.pairs(),
    compute,
    readRow: async (pair, name) => {
      const [row] = await directories.of(pair).read(FIND_BUCKET_BY_NAME, [name]);
      return row ? bucketOf(row, pair) : null;
    },
    ...(o.names ? { search: o.names } : {}),
    clock: o.clock,
    log: o.log,
  });
  const readList = async (name: string): Promise<Row | null> =>
    (await directories.root.read(FIND_BUCKET_NAME, [name]))[0] ?? null;
  const list = new PatientList(o.clock, readList);

  const rowOf = async (id: unknown, pair: PairId): Promise<Bucket | null> => {
    const [row] = await directories.of(pair).read(FIND_BUCKET, [id]);
    return row ? bucketOf(row, pair) : null;
  };
  /** null: it is not ready, or its pair has no such row. */
  const listedBucket = async (listed: Row | null): Promise<Bucket | null> =>
    listed?.state === 'ready' ? rowOf(listed.bucket_id, listed.directory as PairId) : null;

  /** Between two directories, of which neither has it at this moment: migrations/0017_bucket_moves.sql. */
  const isOnItsWay = async (listed: Row): Promise<boolean> => {
    const place = await placeOf(directories.of(listed.directory as PairId), listed.bucket_id as BucketId);
    return place === 'gone' || place === 'coming';
  };
  /** @throws {CatalogUnavailable} when it takes longer than a request waits */
  const arrived = async (name: string): Promise<Bucket | null> => {
    const until = o.clock.monotonic() + o.timeouts.waitMs;
    for (;;) {
      const listed = await readList(name);
      const bucket = await listedBucket(listed);
      if (bucket || listed?.state !== 'ready' || !(await isOnItsWay(listed))) return bucket;
      if (o.clock.monotonic() >= until) throw new CatalogUnavailable(`the bucket ${name} is being moved`);
      await o.clock.sleep(ARRIVAL_LOOK_MS);
    }
  };

  const find: BucketLookup['find'] = async (name) => {
    const isAlone = directories.pairs().length === 1;
    const listed = isAlone ? await readList(name) : await list.find(name);
    if (listed !== 'away') {
      const bucket = await listedBucket(listed);
      if (bucket || isAlone || listed?.state !== 'ready') return { bucket, isFresh: true };
      if (await isOnItsWay(listed)) return { bucket: await arrived(name), isFresh: true };
    }
    const found = await finder.find(name);
    if (found.bucket && isTheOne(found.bucket.id, listed)) return { bucket: found.bucket, isFresh: false };
    if (found.outcome === 'nowhere') return { bucket: await arrived(name), isFresh: true };
    throw new CatalogUnavailable(`no directory that answers is known to have the bucket ${name}`);
  };

  return {
    find,
    rowOf,
    async locate(name, { search } = { search: false }) {
      const listed = await list.find(name);
      const base = {
        computed: compute(name),
        listed:
          listed === 'away' ? ('unknown' as const) : ((listed?.directory as PairId | undefined) ?? null),
      };
      const inPlace = listed === 'away' ? null : await listedBucket(listed).catch(() => null);
      const isSettled = inPlace !== null || (listed !== 'away' && listed?.state !== 'ready');
      if (!search && isSettled)
        return { ...base, outcome: inPlace ? 'found' : 'nowhere', bucket: inPlace, steps: [] };
      const found = await finder.trace(name);
      return inPlace ? { ...base, ...found, outcome: 'found', bucket: inPlace } : { ...base, ...found };
    },
    close: () => finder.close(),
  };
}

/** A row of this name that is not the listed bucket belongs to one that was there before, or to the next one. */
const isTheOne = (id: BucketId, listed: Row | null | 'away'): boolean =>
  listed === 'away' || listed?.bucket_id === id;

/**
 * The root pair's list, which may be away: then one question at a time finds out when it is back, and everybody else is
 * told at once that it is away.
 */
class PatientList {
  readonly #clock: Clock;
  readonly #read: (name: string) => Promise<Row | null>;
  #isAway = false;

  constructor(clock: Clock, read: (name: string) => Promise<Row | null>) {
    this.#clock = clock;
    this.#read = read;
  }

  /** @throws whatever is not the list's being away */
  async find(name: string): Promise<Row | null | 'away'> {
    if (this.#isAway) return 'away';
    const asked = this.#read(name);
    const answered = new AbortController();
    const late = this.#clock.sleep(LIST_PATIENCE_MS, answered.signal).then(
      () => 'away' as const,
      () => 'away' as const,
    );
    try {
      const answer = await Promise.race([asked, late]);
      if (answer === 'away') this.#watch(asked);
      return answer;
    } catch (error) {
      if (!(error instanceof CatalogUnavailable)) throw error;
      this.#watch(asked);
      return 'away';
    } finally {
      answered.abort(OVER);
    }
  }

  /** Until it has answered, or for a moment after it has failed. */
  #watch(asked: Promise<unknown>): void {
    if (this.#isAway) {
      asked.catch(() => {});
      return;
    }
    this.#isAway = true;
    asked
      .catch(() => this.#clock.sleep(LIST_PAUSE_MS))
      .finally(() => {
        this.#isAway = false;
      });
  }
}
