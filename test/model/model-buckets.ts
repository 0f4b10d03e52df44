/**
 * Buckets of the model catalog, and how a test makes a commit fail. Every call runs to its end without an await, so
 * calls are linearizable by construction.
 */
import type { AccountId, BucketId, PairId, UploadId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import {
  type Bucket,
  type BucketLocation,
  CatalogUnavailable,
  type DefaultRetention,
  type Durability,
  type ObjectVersion,
  type Outcome,
  type PutDone,
  type Upload,
  type UploadPart,
} from '../../src/ddm/catalog.ts';
import { checkSetting, checkSettings } from '../../src/ddm/settings.ts';
import { ModelBlobs } from './model-blobs.ts';
import { compareKeys } from './model-listing.ts';
import { ModelQuotas } from './model-quotas.ts';
import { ModelRecord } from './model-record.ts';

/** A row of the model; `sequence` is commit order. */
export type Row = Omit<ObjectVersion, 'isLatest'> & { readonly sequence: number };
export interface UploadRow {
  readonly upload: Upload;
  readonly parts: Map<number, UploadPart>;
}
export interface CompletedRow {
  readonly key: string;
  readonly parts: string;
  readonly value: PutDone & { etag: string };
}
export interface BucketRow {
  bucket: Bucket;
  /** Versions of each key, the latest first. */
  readonly keys: Map<string, Row[]>;
  readonly uploads: Map<UploadId, UploadRow>;
  readonly completed: Map<UploadId, CompletedRow>;
}

export type Fault = 'unknown-applied' | 'unknown-lost' | 'unavailable';

export const done = <T>(value: T) => ({ outcome: 'done', value }) as const;
export const refused = <R extends string>(reason: R) => ({ outcome: 'refused', reason }) as const;

export class ModelBuckets {
  /** Asked before every commit; a test sets it. */
  fault: (commit: string) => Fault | undefined = () => undefined;
  readonly blobs: ModelBlobs;
  protected readonly record: ModelRecord;
  protected readonly buckets = new Map<BucketId, BucketRow>();
  protected readonly quotas = new ModelQuotas(this.buckets);
  protected readonly now: () => number;
  protected sequence = 0;

  constructor(options: { now?: () => number } = {}) {
    this.now = options.now ?? Date.now;
    this.blobs = new ModelBlobs(this.now);
    this.record = new ModelRecord(this.now);
  }

  /** Runs one commit under the fault that the test asked for. */
  protected async commit<T, R extends string>(
    name: string,
    run: () => Outcome<T, R>,
  ): Promise<Outcome<T, R>> {
    const fault = this.fault(name);
    if (fault === 'unavailable') throw new CatalogUnavailable('the model was told to be away');
    if (fault === 'unknown-lost') return { outcome: 'unknown' };
    const outcome = run();
    return fault === 'unknown-applied' ? { outcome: 'unknown' } : outcome;
  }

  // --- buckets
  async findBucket(name: string): Promise<Bucket | null> {
    for (const row of this.buckets.values()) if (row.bucket.name === name) return row.bucket;
    return null;
  }

  async locateBucket(name: string): Promise<BucketLocation> {
    const bucket = await this.findBucket(name);
    const [computed, outcome] = ['directory/5' as PairId, bucket ? 'found' : 'nowhere'] as const;
    return { computed, listed: bucket && computed, outcome, bucket, steps: [] };
  }

  async listBuckets(query: { owner?: AccountId; prefix: string; after: string; max: number }) {
    const found = [...this.buckets.values()]
      .map((row) => row.bucket)
      .filter((b) => query.owner === undefined || b.owner === query.owner)
      .filter((b) => b.name.startsWith(query.prefix) && b.name > query.after)
      .sort((a, b) => compareKeys(a.name, b.name));
    return { buckets: found.slice(0, query.max), truncated: found.length > query.max };
  }

  async createBucket(b: {
    name: string;
    owner: AccountId;
    region: string;
    objectLock: boolean;
    settings?: Readonly<Record<string, unknown>>;
  }): Promise<Outcome<Bucket, 'exists' | 'owned-by-you' | 'too-many-buckets'>> {
    checkSettings(b.settings);
    const { durability, ...settings } = b.settings ?? {};
    return this.commit('createBucket', () => {
      const all = [...this.buckets.values()].map((row) => row.bucket);
      const same = all.find((other) => other.name === b.name);
      if (same !== undefined) return refused(same.owner === b.owner ? 'owned-by-you' : 'exists');
      if (all.filter((other) => other.owner === b.owner).length >= LIMITS.bucketsPerAccountMax)
        return refused('too-many-buckets');
      const bucket: Bucket = {
        id: ++this.sequence as BucketId,
        name: b.name,
        owner: b.owner,
        createdAt: new Date(this.now()),
        region: b.region,
        directory: 'directory/5' as PairId,
        versioning: b.objectLock ? 'enabled' : 'unversioned',
        objectLock: b.objectLock,
        ...(durability !== undefined && { durability: durability as Durability }),
        settings,
      };
      this.buckets.set(bucket.id, { bucket, keys: new Map(), uploads: new Map(), completed: new Map() });
      return done(bucket);
    });
  }

  /** Versions and delete markers keep a bucket; uploads in progress do not, they end with it. */
  async deleteBucket(id: BucketId): Promise<Outcome<null, 'no-such-bucket' | 'not-empty'>> {
    return this.commit('deleteBucket', () => {
      const row = this.buckets.get(id);
      if (row === undefined) return refused('no-such-bucket');
      if (row.keys.size > 0) return refused('not-empty');
      for (const upload of row.uploads.values()) this.dropParts(upload.parts.values());
      this.buckets.delete(id);
      return done(null);
    });
  }

  async setVersioning(
    id: BucketId,
    state: 'enabled' | 'suspended',
  ): Promise<Outcome<null, 'no-such-bucket' | 'locked'>> {
    return this.commit('setVersioning', () => {
      const row = this.buckets.get(id);
      if (row === undefined) return refused('no-such-bucket');
      if (row.bucket.objectLock && state === 'suspended') return refused('locked');
      row.bucket = { ...row.bucket, versioning: state };
      return done(null);
    });
  }

  async setObjectLock(
    id: BucketId,
    defaultRetention: DefaultRetention | null,
  ): Promise<Outcome<null, 'no-such-bucket' | 'not-versioned'>> {
    return this.commit('setObjectLock', () => {
      const row = this.buckets.get(id);
      if (row === undefined) return refused('no-such-bucket');
      if (row.bucket.versioning !== 'enabled') return refused('not-versioned');
      const { defaultRetention: _, ...bucket } = row.bucket;
      row.bucket = { ...bucket, objectLock: true, ...(defaultRetention && { defaultRetention }) };
      return done(null);
    });
  }

  async setBucketSetting(
    id: BucketId,
    name: string,
    value: unknown | null,
  ): Promise<Outcome<null, 'no-such-bucket'>> {
    checkSetting(name, value);
    return this.commit('setBucketSetting', () => {
      const row = this.buckets.get(id);
      if (row === undefined) return refused('no-such-bucket');
      if (name === 'durability') {
        const { durability: _, ...bucket } = row.bucket;
        row.bucket = { ...bucket, ...(value !== null && { durability: value as Durability }) };
      } else {
        const settings = { ...row.bucket.settings, [name]: value };
        if (value === null) delete settings[name];
        row.bucket = { ...row.bucket, settings };
      }
      return done(null);
    });
  }

  protected dropParts(parts: Iterable<UploadPart>): void {
    for (const part of parts) if (part.blob !== null) this.blobs.drop({ kind: 'blob', blob: part.blob });
  }
}
