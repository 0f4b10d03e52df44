/**
 * All directory pairs, and which of them has a bucket. The root pair's list of names decides; a bucket's directory is
 * remembered (bounded), and looked up again when that one says that it has not got the bucket: it may have moved, or be
 * on its way, which is waited for within the request.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { BucketId, PairId } from '../base/ids.ts';
import { CatalogUnavailable } from './catalog.ts';
import { Directory } from './directory.ts';
import type { Answer, Link } from './link.ts';
import type { CatalogOptions } from './options.ts';
import { statement } from './statements.ts';

const FIND_BUCKET_DIRECTORY = statement('find-bucket-directory');
const FIND_BUCKET = statement('find-bucket');
const PLACE_OF_BUCKET = statement('place-of-bucket');
const REGISTER_DIRECTORY = statement('register-directory');
const BECOME_DIRECTORY = statement('become-directory');
const LIST_DIRECTORIES = statement('list-directories');
const REMEMBERED_MAX = 20_000;
/** Between two looks at a bucket that is on its way. */
const LOOK_AGAIN_MS = 50;

/** A directory's answer: it has no such bucket (any more), and has done nothing. */
export const GONE = Symbol('the bucket is not here');

/** The pair that a new bucket goes to: rendezvous hashing, so that it can be computed where no list is at hand. */
export function directoryForName(name: string, pairs: readonly PairId[]): PairId {
  const weigh = (pair: PairId) => createHash('sha256').update(`${pair}\0${name}`).digest('hex');
  const [best] = pairs
    .map((pair) => ({ pair, weight: weigh(pair) }))
    .sort((a, b) => (a.weight < b.weight ? 1 : -1));
  if (!best) throw new CatalogUnavailable('there is no directory');
  return best.pair;
}

/** The answer to a statement that may simply be repeated. @throws {CatalogUnavailable} when its outcome is unknown */
export function certain(answer: Answer | 'unknown'): Answer {
  if (answer === 'unknown') throw new CatalogUnavailable('the outcome of a change is unknown');
  return answer;
}

export class Directories {
  readonly #o: CatalogOptions;
  readonly #open = new Map<PairId, Directory>();
  readonly #ofBucket = new LRUCache<number, PairId>({ max: REMEMBERED_MAX });
  readonly #settled = new Set<PairId>();
  #greet: ((pair: PairId) => (link: Link) => Promise<void>) | null = null;
  #closed = false;

  constructor(o: CatalogOptions) {
    this.#o = o;
  }

  /** What directories but the root are told on every new connection. */
  greetWith(greet: (pair: PairId) => (link: Link) => Promise<void>): void {
    this.#greet = greet;
  }

  get root(): Directory {
    return this.of(this.#o.root);
  }
  all(): readonly Directory[] {
    return this.pairs().map((pair) => this.of(pair));
  }
  pairs(): readonly PairId[] {
    return this.#o.locator.pairs();
  }

  of(pair: PairId): Directory {
    if (this.#closed) throw new CatalogUnavailable('the catalog is closed');
    let directory = this.#open.get(pair);
    if (!directory) {
      directory = new Directory(pair, this.#o, pair === this.#o.root ? undefined : this.#greet?.(pair));
      this.#open.set(pair, directory);
    }
    return directory;
  }

  /** The directory of a bucket that exists or existed; null when no list names it (any more). */
  async ofBucket(id: BucketId): Promise<Directory | null> {
    const pairs = this.pairs();
    if (pairs.length === 1) return this.of(pairs[0]!);
    const known = this.#ofBucket.get(id);
    if (known) return this.of(known);
    const [row] = await this.root.read(FIND_BUCKET_DIRECTORY, [id]);
    if (!row) return null;
    this.remember(id, row.directory as PairId);
    return this.of(row.directory as PairId);
  }
  remember(id: BucketId, pair: PairId): void {
    this.#ofBucket.set(id, pair);
  }
  get isAlone(): boolean {
    return this.pairs().length === 1;
  }

  /**
   * Does the work where the bucket is: again where it has moved to when the work answers GONE. GONE when it is nowhere.
   * @throws {CatalogUnavailable} also when it has been on its way for longer than a request waits
   */
  async atBucket<T>(
    id: BucketId,
    work: (directory: Directory) => Promise<T | typeof GONE>,
  ): Promise<T | typeof GONE> {
    const { clock, timeouts } = this.#o;
    const until = clock.monotonic() + timeouts.waitMs;
    for (;;) {
      const directory = await this.ofBucket(id);
      if (!directory) return GONE;
      const answer = await work(directory);
      if (answer !== GONE || this.isAlone) return answer;
      const place = await placeOf(directory, id);
      this.#ofBucket.delete(id);
      const now = place === 'here' ? directory : await this.ofBucket(id);
      if (place === null && (now === null || now === directory)) return GONE;
      if (clock.monotonic() >= until) throw new CatalogUnavailable(`bucket ${id} is being moved`);
      if (now === directory && place !== 'here') await clock.sleep(LOOK_AGAIN_MS);
    }
  }

  /** What was read of a bucket counts if the bucket is still there (or frozen, which changes nothing) afterwards. */
  async hasBucket(directory: Directory, id: BucketId): Promise<boolean> {
    return (await directory.read(FIND_BUCKET, [id])).length > 0;
  }

  /** Before the first bucket of a directory: enters it in the root pair's list, and tells it which one it is. */
  async settle(pair: PairId): Promise<Directory> {
    const directory = this.of(pair);
    if (this.#settled.has(pair)) return directory;
    const [row] = certain(await this.root.write(REGISTER_DIRECTORY, [pair, this.#o.root])).rows;
    const [became] = certain(await directory.write(BECOME_DIRECTORY, [pair, row!.ordinal])).rows;
    if (became?.answer !== true)
      throw new CatalogUnavailable(`what answers for ${pair} is another directory: look at its address`);
    this.#settled.add(pair);
    return directory;
  }

  /**
   * All directories that have or had buckets, for questions that need everybody's answer.
   * @throws {CatalogUnavailable} where the root pair's list has one that is not known here (yet)
   */
  async everyone(): Promise<readonly Directory[]> {
    const known = this.pairs();
    for (const row of await this.root.read(LIST_DIRECTORIES, []))
      if (!known.includes(row.pair as PairId))
        throw new CatalogUnavailable(`the directory ${String(row.pair)} is not known here yet`);
    return this.all();
  }

  close(): void {
    this.#closed = true;
    for (const directory of this.#open.values()) directory.close();
  }
}

/** `here`, `frozen`, `gone`, `coming`; null: the directory knows nothing of it. */
export async function placeOf(directory: Directory, id: BucketId): Promise<string | null> {
  const [row] = await directory.read(PLACE_OF_BUCKET, [id]);
  return (row?.place as string | null) ?? null;
}
