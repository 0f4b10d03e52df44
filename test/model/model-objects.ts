/** Object versions of the model catalog; buckets and how a commit fails are in model-buckets.ts. */
import { isDeepStrictEqual } from 'node:util';
import type { BucketId } from '../../src/base/ids.ts';
import { LIMITS } from '../../src/base/limits.ts';
import type {
  Amendment,
  CommitRefusal,
  DeleteDone,
  DeleteVersion,
  ListObjectsQuery,
  ListPage,
  ListVersionsQuery,
  ManifestPart,
  ObjectVersion,
  Outcome,
  PutDone,
  PutVersion,
  Retention,
  VersionChange,
  VersionContent,
} from '../../src/ddm/catalog.ts';
import { type BucketRow, done, ModelBuckets, type Row, refused } from './model-buckets.ts';
import { checkDelete, checkWrite } from './model-conditions.ts';
import { compareKeys, pageOf } from './model-listing.ts';
import { checkLocks, isLocked, mayRetain, retentionOf } from './model-locks.ts';

/** A later version has a smaller id, so ids within a key sort in listing order. */
const SEQUENCE_MAX = 2 ** 48;
const idOfSequence = (sequence: number) => (SEQUENCE_MAX - sequence).toString(16).padStart(32, '0');
const sequenceOfId = (id: string) => SEQUENCE_MAX - Number.parseInt(id, 16);

/** A row as callers see it, but for where its blob is by now. */
function shown({ sequence: _, ...row }: Row, isLatest: boolean): ObjectVersion {
  return { ...row, isLatest };
}

export class ModelObjects extends ModelBuckets {
  // --- objects
  async findVersion(bucketId: BucketId, key: string, versionId?: string): Promise<ObjectVersion | null> {
    const rows = this.buckets.get(bucketId)?.keys.get(key) ?? [];
    const row = versionId === undefined ? rows[0] : rows.find((other) => other.versionId === versionId);
    if (row === undefined) return null;
    const version = shown(row, row === rows[0]);
    return { ...version, content: this.blobs.contentNow(version.content) };
  }

  async readManifest(
    _bucketId: BucketId,
    manifestId: number,
    range: { from: number; to: number } | { partNumber: number } = { from: 0, to: Number.MAX_SAFE_INTEGER },
  ): Promise<readonly ManifestPart[]> {
    const parts = (this.blobs.manifest(manifestId) ?? []).map((part) => this.blobs.partNow(part));
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

  amendVersion({ acl, encryption, storageClass, condition, ...a }: Amendment) {
    return this.#change('amendVersion', a, (row) => {
      const { acl: oldAcl, encryption: oldEncryption, ...rest } = row;
      const { ifEncryption, ...plain } = condition ?? {};
      if (ifEncryption !== undefined && !isDeepStrictEqual(ifEncryption, oldEncryption ?? null))
        return 'precondition-failed';
      const refusal = checkDelete(plain, row);
      if (refusal !== null) return refusal;
      const [newAcl, newEncryption] = [
        acl === undefined ? oldAcl : acl,
        encryption === undefined ? oldEncryption : encryption,
      ];
      return {
        ...rest,
        ...(newAcl && { acl: newAcl }),
        ...(newEncryption && { encryption: newEncryption }),
        ...(storageClass !== undefined && { storageClass }),
      };
    });
  }

  /** Changes a version in place. */
  #change(
    name: 'setTags' | 'setRetention' | 'setLegalHold' | 'amendVersion',
    { bucketId, key, versionId }: VersionChange,
    change: (row: Row) => Row | CommitRefusal,
  ): Promise<Outcome<{ versionId: string }, CommitRefusal>> {
    return this.commit(name, () => {
      const bucket = this.buckets.get(bucketId);
      if (bucket === undefined) return refused('bucket-gone');
      if ((name === 'setRetention' || name === 'setLegalHold') && !bucket.bucket.objectLock)
        return refused('no-object-lock');
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
  ): VersionContent | 'intent-expired' | 'stale-epoch' | 'blob-dying' | 'over-quota' {
    if (content.kind === 'blob') {
      if (content.intentAt + LIMITS.intentMs < this.now()) return 'intent-expired';
      const { epoch = null } = content;
      if (epoch !== null && epoch < this.record.epochOf(content.blob.pair)) return 'stale-epoch';
    }
    if (content.kind === 'share' && !this.blobs.take(content.content)) return 'blob-dying';
    if (isOverQuota()) {
      if (content.kind === 'share') this.blobs.drop(content.content);
      return 'over-quota';
    }
    if (content.kind === 'blob') this.blobs.addBlob(content.blob, content.lagging);
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

  /** Every version of a bucket: keys in byte order, versions of a key from the latest on. */
  #sortedVersions(bucketId: BucketId): { version: ObjectVersion; sequence: number }[] {
    return [...(this.buckets.get(bucketId)?.keys ?? [])]
      .sort(([a], [b]) => compareKeys(a, b))
      .flatMap(([, rows]) =>
        rows.map((row, i) => ({ version: shown(row, i === 0), sequence: row.sequence })),
      );
  }
}
