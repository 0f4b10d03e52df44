/**
 * Buckets and object versions of the model catalog, and how a test makes a commit fail. Every call runs to its end
 * without an await, so calls are linearizable by construction.
 */
import type { AccountId, BucketId, PairId, UploadId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import {
  type Bucket,
  CatalogUnavailable,
  type CommitRefusal,
  type DefaultRetention,
  type DeleteDone,
  type DeleteVersion,
  type ListObjectsQuery,
  type ListPage,
  type ListVersionsQuery,
  type ManifestPart,
  type ObjectVersion,
  type Outcome,
  type PutDone,
  type PutVersion,
  type Retention,
  type Upload,
  type UploadPart,
  type VersionChange,
  type VersionContent,
} from '../../src/ddm/catalog.ts';
import { ModelBlobs } from './model-blobs.ts';
import { checkDelete, checkWrite } from './model-conditions.ts';
import { compareKeys, pageOf } from './model-listing.ts';
import { checkLocks, isLocked, mayRetain, retentionOf } from './model-locks.ts';
import { ModelQuotas } from './model-quotas.ts';

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

/** A later version has a smaller id, so ids within a key sort in listing order. */
const SEQUENCE_MAX = 2 ** 48;
const idOfSequence = (sequence: number) => (SEQUENCE_MAX - sequence).toString(16).padStart(32, '0');
const sequenceOfId = (id: string) => SEQUENCE_MAX - Number.parseInt(id, 16);

/** A row as callers see it. */
function shown({ sequence: _, ...row }: Row, isLatest: boolean): ObjectVersion {
  return { ...row, isLatest };
}

export class ModelObjects {
  /** Asked before every commit; a test sets it. */
  fault: (commit: string) => Fault | undefined = () => undefined;
  readonly blobs: ModelBlobs;
  protected readonly buckets = new Map<BucketId, BucketRow>();
  protected readonly quotas = new ModelQuotas(this.buckets);
  protected readonly now: () => number;
  protected sequence = 0;

  constructor(options: { now?: () => number } = {}) {
    this.now = options.now ?? Date.now;
    this.blobs = new ModelBlobs(this.now);
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
        settings: b.settings ?? {},
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
    return this.commit('setBucketSetting', () => {
      const row = this.buckets.get(id);
      if (row === undefined) return refused('no-such-bucket');
      const settings = { ...row.bucket.settings, [name]: value };
      if (value === null) delete settings[name];
      row.bucket = { ...row.bucket, settings };
      return done(null);
    });
  }

  // --- objects
  async findVersion(bucketId: BucketId, key: string, versionId?: string): Promise<ObjectVersion | null> {
    const rows = this.buckets.get(bucketId)?.keys.get(key) ?? [];
    const row = versionId === undefined ? rows[0] : rows.find((other) => other.versionId === versionId);
    return row === undefined ? null : shown(row, row === rows[0]);
  }

  async readManifest(
    _bucketId: BucketId,
    manifestId: number,
    range: { from: number; to: number } | { partNumber: number } = { from: 0, to: Number.MAX_SAFE_INTEGER },
  ): Promise<readonly ManifestPart[]> {
    const parts = this.blobs.manifest(manifestId) ?? [];
    if ('partNumber' in range) return parts.filter((part) => part.partNumber === range.partNumber);
    return parts.filter((part) => part.offset <= range.to && part.offset + part.size > range.from);
  }

  async putVersion(put: PutVersion): Promise<Outcome<PutDone, CommitRefusal>> {
    return this.commit('putVersion', () => {
      const bucket = this.buckets.get(put.bucketId);
      if (bucket === undefined) return refused('bucket-gone');
      const refusal =
        checkLocks(bucket.bucket, put.attributes) ?? checkWrite(put.condition, bucket.keys.get(put.key)?.[0]);
      if (refusal !== null) return refused(refusal);
      const taken = this.takeContent(put.content, () =>
        this.quotas.forbids(bucket, this.quotas.growthOf(bucket, put.key, put.size)),
      );
      if (typeof taken === 'string') return refused(taken);
      return done(this.insert(bucket, { ...put, isDeleteMarker: false, content: taken }));
    });
  }

  async deleteVersion(del: DeleteVersion): Promise<Outcome<DeleteDone, CommitRefusal>> {
    return this.commit('deleteVersion', () => {
      const bucket = this.buckets.get(del.bucketId);
      if (bucket === undefined) return refused('bucket-gone');
      const rows = bucket.keys.get(del.key) ?? [];
      const row =
        del.versionId === undefined ? rows[0] : rows.find((other) => other.versionId === del.versionId);
      // A condition on what is not there holds, and changes nothing: no delete marker either.
      if (row === undefined && (del.versionId !== undefined || del.condition !== undefined))
        return done<DeleteDone>({ existed: false });
      if (row !== undefined && del.condition !== undefined) {
        const refusal = checkDelete(del.condition, row);
        if (refusal !== null) return refused(refusal);
      }
      if (del.versionId !== undefined) {
        if (isLocked(row!, this.now(), del.bypassGovernance ?? false)) return refused('locked');
        this.remove(bucket, row!);
        return done<DeleteDone>({
          existed: true,
          versionId: del.versionId,
          deleteMarker: row!.isDeleteMarker,
        });
      }
      if (bucket.bucket.versioning === 'unversioned') {
        if (row === undefined) return done<DeleteDone>({ existed: false });
        this.remove(bucket, row);
        return done<DeleteDone>({ existed: true });
      }
      const marker = this.insert(bucket, {
        ...{ bucketId: del.bucketId, key: del.key, owner: del.owner, size: 0, etag: '' },
        attributes: { system: {}, user: {}, tags: {}, storageClass: 'STANDARD' },
        isDeleteMarker: true,
        content: { kind: 'empty' },
      });
      return done<DeleteDone>({ existed: true, versionId: marker.versionId, deleteMarker: true });
    });
  }

  setTags(t: VersionChange & { readonly tags: Readonly<Record<string, string>> }) {
    return this.#change('setTags', t, (row) => ({ ...row, tags: t.tags }));
  }

  setRetention(r: VersionChange & { retention: Retention | null; bypassGovernance?: boolean }) {
    return this.#change('setRetention', r, ({ retention: old, ...row }) => {
      if (!mayRetain(old, r.retention, this.now(), r.bypassGovernance ?? false)) return 'locked';
      return { ...row, ...(r.retention && { retention: r.retention }) };
    });
  }

  setLegalHold(h: VersionChange & { readonly legalHold: boolean }) {
    return this.#change('setLegalHold', h, (row) => ({ ...row, legalHold: h.legalHold }));
  }

  /** Changes a version in place. */
  #change(
    name: 'setTags' | 'setRetention' | 'setLegalHold',
    { bucketId, key, versionId }: VersionChange,
    change: (row: Row) => Row | CommitRefusal,
  ): Promise<Outcome<{ versionId: string }, CommitRefusal>> {
    return this.commit(name, () => {
      const bucket = this.buckets.get(bucketId);
      if (bucket === undefined) return refused('bucket-gone');
      if (name !== 'setTags' && !bucket.bucket.objectLock) return refused('no-object-lock');
      const rows = bucket.keys.get(key) ?? [];
      const at = versionId === undefined ? 0 : rows.findIndex((other) => other.versionId === versionId);
      const row = rows[at];
      if (row === undefined || row.isDeleteMarker)
        return refused(versionId === undefined ? 'no-such-key' : 'no-such-version');
      const changed = change(row);
      if (typeof changed === 'string') return refused(changed);
      rows[at] = changed;
      return done({ versionId: row.versionId });
    });
  }

  async listObjects(query: ListObjectsQuery): Promise<ListPage<ObjectVersion>> {
    const rows = this.#sortedVersions(query.bucketId)
      .map(({ version }) => version)
      .filter((row) => row.isLatest && !row.isDeleteMarker && compareKeys(row.key, query.after) > 0);
    return pageOf(rows, query, query.after);
  }

  async listVersions(query: ListVersionsQuery): Promise<ListPage<ObjectVersion>> {
    const marker = query.versionIdMarker;
    const markerRow = this.buckets
      .get(query.bucketId)
      ?.keys.get(query.keyMarker)
      ?.find((row) => row.versionId === marker);
    const before = markerRow
      ? markerRow.sequence
      : marker === undefined
        ? 0
        : marker === 'null' // gone: nobody knows where it stood, so its key is listed again
          ? Number.POSITIVE_INFINITY
          : sequenceOfId(marker);
    const rows = this.#sortedVersions(query.bucketId).filter(({ version, sequence }) => {
      const order = compareKeys(version.key, query.keyMarker);
      return order > 0 || (order === 0 && sequence < before);
    });
    return pageOf(
      rows.map(({ version }) => version),
      query,
      query.keyMarker,
    );
  }

  // --- rows
  protected takeContent(
    content: PutVersion['content'],
    isOverQuota: () => boolean,
  ): VersionContent | 'intent-expired' | 'blob-dying' | 'over-quota' {
    if (content.kind === 'blob' && content.intentAt + LIMITS.intentMs < this.now()) return 'intent-expired';
    if (content.kind === 'share' && !this.blobs.take(content.content)) return 'blob-dying';
    if (isOverQuota()) {
      if (content.kind === 'share') this.blobs.drop(content.content);
      return 'over-quota';
    }
    if (content.kind === 'blob') this.blobs.addBlob(content.blob);
    if (content.kind === 'share') return content.content;
    return content.kind === 'blob' ? { kind: 'blob', blob: content.blob } : content;
  }

  /** The new row becomes the latest; where versioning is not on, it takes the place of the null version. */
  protected insert(
    bucket: BucketRow,
    row: Pick<PutVersion, 'bucketId' | 'key' | 'owner' | 'size' | 'etag' | 'attributes' | 'checksum'> & {
      readonly isDeleteMarker: boolean;
      readonly content: VersionContent;
    },
  ): PutDone {
    const sequence = ++this.sequence;
    const versionId = bucket.bucket.versioning === 'enabled' ? idOfSequence(sequence) : 'null';
    const lastModified = new Date(this.now());
    const { bucketId, key, owner, size, etag, content, isDeleteMarker } = row;
    const replaced = bucket.keys.get(key)?.find((other) => other.versionId === versionId);
    if (replaced !== undefined) this.remove(bucket, replaced);
    const rows = bucket.keys.get(key) ?? [];
    rows.unshift({
      ...{ bucketId, key, versionId, owner, size, etag, content, isDeleteMarker, lastModified, sequence },
      ...row.attributes,
      ...(isDeleteMarker ? {} : retentionOf(bucket.bucket, row.attributes, lastModified)),
      ...(row.checksum === undefined ? {} : { checksum: row.checksum }),
    });
    bucket.keys.set(key, rows);
    return { versionId, lastModified };
  }

  protected remove(bucket: BucketRow, row: Row): void {
    const rows = bucket.keys.get(row.key)!.filter((other) => other !== row);
    if (rows.length === 0) bucket.keys.delete(row.key);
    else bucket.keys.set(row.key, rows);
    this.blobs.drop(row.content);
  }

  protected dropParts(parts: Iterable<UploadPart>): void {
    for (const part of parts) if (part.blob !== null) this.blobs.drop({ kind: 'blob', blob: part.blob });
  }

  /** Every version of a bucket: keys in byte order, versions of a key from the latest on. */
  #sortedVersions(bucketId: BucketId): { version: ObjectVersion; sequence: number }[] {
    return [...(this.buckets.get(bucketId)?.keys ?? [])]
      .sort(([a], [b]) => compareKeys(a, b))
      .flatMap(([, rows]) =>
        rows.map((row, i) => ({ version: shown(row, i === 0), sequence: row.sequence })),
      );
  }
}
