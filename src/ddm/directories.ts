/**
 * All directory pairs, and which of them has a bucket. The root pair's list of names decides; a bucket's directory
 * is remembered (bounded), as it does not change while the bucket lives.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { BucketId, PairId } from '../base/ids.ts';
import { CatalogUnavailable } from './catalog.ts';
import { Directory } from './directory.ts';
import type { Answer } from './link.ts';
import type { CatalogOptions } from './options.ts';
import { statement } from './statements.ts';

const FIND_BUCKET_DIRECTORY = statement('find-bucket-directory');
const REMEMBERED_MAX = 20_000;

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
  #closed = false;

  constructor(o: CatalogOptions) {
    this.#o = o;
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
      directory = new Directory(pair, this.#o);
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

  close(): void {
    this.#closed = true;
    for (const directory of this.#open.values()) directory.close();
  }
}
