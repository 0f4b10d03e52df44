/**
 * Buckets: a name in the root pair, a row in the bucket's directory.
 *
 * Creating: name (creating) → row → name (ready). Deleting: row → name removed. A call that stops half-way leaves a name
 * that is `creating`, or `ready` without a row; the next createBucket of the name finishes what it finds. Ids are
 * never used twice, so finishing by id cannot hit a later bucket of the same name.
 */
import { LRUCache } from 'lru-cache';
import type { AccountId, BucketId, PairId } from '../base/ids.ts';
import { LIMITS } from '../base/limits.ts';
import { done, refused, UNKNOWN } from './accounts.ts';
import { openBucketLookup } from './bucket-lookup.ts';
import { type Bucket, type Catalog, CatalogUnavailable, type Outcome } from './catalog.ts';
import { type Directories, directoryForName, GONE } from './directories.ts';
import type { Row } from './link.ts';
import { bucketOf, isStorable } from './mapping.ts';
import type { CatalogOptions } from './options.ts';
import { checkSetting, checkSettings } from './settings.ts';
import type { Shares } from './shares.ts';
import { type Statement, statement } from './statements.ts';

const TAKE_BUCKET_NAME = statement('take-bucket-name');
const READY_BUCKET_NAME = statement('ready-bucket-name');
const DROP_BUCKET_NAME = statement('drop-bucket-name');
const LIST_BUCKET_NAMES = statement('list-bucket-names');
const FIND_BUCKETS = statement('find-buckets');
const CREATE_BUCKET = statement('create-bucket');
const DELETE_BUCKET = statement('delete-bucket');
const SET_VERSIONING = statement('set-versioning');
const SET_OBJECT_LOCK = statement('set-object-lock');
const SET_BUCKET_SETTING = statement('set-bucket-setting');

const BUCKETS_CACHED_MAX = 10_000;
/** Every round removes one half-deleted bucket that stands in the way. */
const CREATE_ROUNDS_MAX = 3;

type CreateBucket = Parameters<Catalog['createBucket']>[0];

export type Buckets = Pick<
  Catalog,
  | 'findBucket'
  | 'locateBucket'
  | 'listBuckets'
  | 'createBucket'
  | 'deleteBucket'
  | 'setVersioning'
  | 'setObjectLock'
  | 'setBucketSetting'
> & {
  /** A commit or a lookup found the bucket gone: it is asked for anew. */
  forget(id: BucketId): void;
  closeLookup(): void;
};

export function openBuckets(directories: Directories, o: CatalogOptions, shares: Shares): Buckets {
  const cache = new LRUCache<string, Bucket>({
    max: BUCKETS_CACHED_MAX,
    ttl: o.settingsAgeMs,
    ttlResolution: 0,
    perf: { now: () => o.clock.monotonic() },
  });
  const names = new LRUCache<BucketId, string>({ max: BUCKETS_CACHED_MAX });
  const lookup = openBucketLookup(directories, o);
  let generation = 0;
  const forget = (id: BucketId) => {
    generation++;
    const name = names.get(id);
    if (name !== undefined) cache.delete(name);
  };

  /** Carries on from a name that this account holds in state `creating`. */
  const finish = async (name: Row, b: CreateBucket): Promise<Outcome<Bucket, never>> => {
    const pair = name.directory as PairId;
    const values = [
      name.bucket_id,
      b.name,
      b.owner,
      b.region,
      name.created_at,
      b.objectLock,
      b.settings ?? {},
    ];
    const directory = await directories.settle(pair);
    await shares.prepare(b.owner, directory);
    const made = await directory.write(CREATE_BUCKET, values);
    if (made === 'unknown') return UNKNOWN;
    const ready = await directories.root.write(READY_BUCKET_NAME, [b.name, name.bucket_id]);
    if (ready === 'unknown') return UNKNOWN;
    // Somebody deleted it in between; the client may try again.
    if (ready.rowCount === 0 || !made.rows[0])
      throw new CatalogUnavailable('the bucket went while it was made');
    return done(bucketOf(made.rows[0], pair));
  };

  /** One change of a bucket's row that answers with a word. */
  const change = async (
    id: BucketId,
    s: Statement,
    values: readonly unknown[],
  ): Promise<Outcome<null, string>> => {
    try {
      const said = await directories.atBucket(id, async (directory) => {
        const answer = await directory.write(s, [id, ...values]);
        if (answer === 'unknown') return answer;
        return answer.rows[0]?.answer === 'no-such-bucket' ? GONE : String(answer.rows[0]?.answer);
      });
      if (said === 'unknown') return UNKNOWN;
      if (said === GONE) return refused('no-such-bucket');
      return said === 'done' ? done(null) : refused(said);
    } finally {
      forget(id);
    }
  };

  return {
    forget,

    async findBucket(name) {
      const cached = cache.get(name);
      if (cached) return cached;
      if (!isStorable(name)) return null;
      const readAt = generation;
      const { bucket, isFresh } = await lookup.find(name);
      if (!bucket) return null;
      directories.remember(bucket.id, bucket.directory);
      names.set(bucket.id, name);
      if (isFresh && generation === readAt) cache.set(name, bucket);
      return bucket;
    },

    locateBucket: lookup.locate,
    closeLookup: lookup.close,

    /** The root pair's list says which; rows that are gone meanwhile are left out. */
    async listBuckets({ owner, prefix, after, max }) {
      const values = [owner ?? null, after, prefix, max + 1];
      const listed = await directories.root.read(LIST_BUCKET_NAMES, values);
      const wanted = listed.slice(0, max);
      const found = new Map<string, Bucket>();
      for (const pair of new Set(wanted.map((row) => row.directory as PairId))) {
        const ids = wanted.filter((row) => row.directory === pair).map((row) => row.bucket_id);
        for (const row of await directories.of(pair).read(FIND_BUCKETS, [ids]))
          found.set(String(row.name), bucketOf(row, pair));
      }
      // One that was not there has been half deleted, or has moved meanwhile.
      const lost = directories.isAlone ? [] : wanted.filter((row) => !found.has(String(row.name)));
      for (const { name } of lost) {
        const { bucket } = await lookup.find(String(name));
        if (bucket) found.set(bucket.name, bucket);
      }
      const buckets = wanted
        .map((row) => found.get(String(row.name)))
        .filter((bucket) => bucket !== undefined);
      return { buckets, truncated: listed.length > max };
    },

    async createBucket(b) {
      checkSettings(b.settings);
      const pair = directoryForName(b.name, directories.pairs());
      for (let round = 1; round <= CREATE_ROUNDS_MAX; round++) {
        const values = [b.name, b.owner, pair, LIMITS.bucketsPerAccountMax];
        const taken = await directories.root.write(TAKE_BUCKET_NAME, values);
        if (taken === 'unknown') return UNKNOWN;
        const name = taken.rows[0]!;
        if (name.too_many === true) return refused('too-many-buckets');
        const isMine = (name.owner as AccountId) === b.owner;
        if (name.state === 'creating') return isMine ? await finish(name, b) : refused('exists');
        if (await lookup.rowOf(name.bucket_id, name.directory as PairId))
          return refused(isMine ? 'owned-by-you' : 'exists');
        const dropped = await directories.root.write(DROP_BUCKET_NAME, [name.bucket_id]);
        if (dropped === 'unknown') return UNKNOWN;
      }
      throw new CatalogUnavailable(`others create and delete ${b.name} all the time`);
    },

    async deleteBucket(id) {
      const deleted = await change(id, DELETE_BUCKET, []);
      // A row that is gone: its name may have been left behind.
      const isGone =
        deleted.outcome === 'done' || (deleted.outcome === 'refused' && deleted.reason === 'no-such-bucket');
      if (isGone) {
        const dropped = await directories.root.write(DROP_BUCKET_NAME, [id]);
        if (dropped === 'unknown') return UNKNOWN;
      }
      return deleted as Outcome<null, 'no-such-bucket' | 'not-empty'>;
    },

    setVersioning: async (id, state) =>
      (await change(id, SET_VERSIONING, [state])) as Outcome<null, 'no-such-bucket' | 'locked'>,

    setObjectLock: async (id, defaultRetention) =>
      (await change(id, SET_OBJECT_LOCK, [defaultRetention && JSON.stringify(defaultRetention)])) as Outcome<
        null,
        'no-such-bucket' | 'not-versioned'
      >,

    setBucketSetting: async (id, name, value) => {
      checkSetting(name, value);
      const values = [name, value === null ? null : JSON.stringify(value)];
      return (await change(id, SET_BUCKET_SETTING, values)) as Outcome<null, 'no-such-bucket'>;
    },
  };
}
