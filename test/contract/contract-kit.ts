/** What the parts of the catalog's contract share: a catalog to test, and short ways to say "put this". */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  type AccountId,
  type BucketId,
  newBlobId,
  newWriteId,
  type PairId,
  type UploadId,
} from '../../src/base/ids.ts';
import type {
  BlobRef,
  Bucket,
  Catalog,
  ListPage,
  ObjectAttributes,
  Outcome,
  PutVersion,
  Upload,
} from '../../src/ddm/catalog.ts';

export interface Subject {
  readonly catalog: Catalog;
  close(): Promise<void>;
}
export type MakeCatalog = () => Promise<Subject>;

export const OWNER = 'owner-1' as AccountId;
export const OTHER = 'owner-2' as AccountId;
export const ATTRIBUTES: ObjectAttributes = { system: {}, user: {}, tags: {}, storageClass: 'STANDARD' };

export const blobOf = (size: number): BlobRef => ({
  id: newBlobId(),
  size,
  root: randomBytes(32),
  pair: 'node/11' as PairId,
});

/** The value of an outcome that must be done. */
export function mustBeDone<T>(outcome: Outcome<T, string>): T {
  if (outcome.outcome !== 'done') assert.fail(`not done: ${JSON.stringify(outcome)}`);
  return outcome.value;
}
export const reasonOf = (outcome: Outcome<unknown, string>): string =>
  outcome.outcome === 'refused' ? outcome.reason : outcome.outcome;

let buckets = 0;
export const newName = () => `bucket-${++buckets}-${randomBytes(4).toString('hex')}`;

export class Kit {
  readonly catalog: Catalog;
  constructor(catalog: Catalog) {
    this.catalog = catalog;
  }

  async bucket(o: { versioning?: Bucket['versioning']; objectLock?: boolean } = {}): Promise<BucketId> {
    const { id } = mustBeDone(
      await this.catalog.createBucket({
        ...{ name: newName(), owner: OWNER, region: 'us-east-1', objectLock: o.objectLock ?? false },
      }),
    );
    if (o.versioning === 'enabled' || o.versioning === 'suspended')
      mustBeDone(await this.catalog.setVersioning(id, 'enabled'));
    if (o.versioning === 'suspended') mustBeDone(await this.catalog.setVersioning(id, 'suspended'));
    return id;
  }

  tryPut(bucketId: BucketId, key: string, o: Partial<PutVersion> = {}) {
    const blob = blobOf(o.size ?? 3);
    return this.catalog.putVersion({
      ...{
        writeId: newWriteId(),
        bucketId,
        key,
        owner: OWNER,
        size: 3,
        etag: `etag-${blob.id}`,
        attributes: ATTRIBUTES,
      },
      content: { kind: 'blob', blob, intentAt: Date.now() },
      ...o,
    });
  }
  async put(bucketId: BucketId, key: string, o: Partial<PutVersion> = {}) {
    return mustBeDone(await this.tryPut(bucketId, key, o));
  }
  delete(bucketId: BucketId, key: string, o: Partial<Parameters<Catalog['deleteVersion']>[0]> = {}) {
    return this.catalog.deleteVersion({ writeId: newWriteId(), bucketId, key, owner: OWNER, ...o });
  }

  async upload(bucketId: BucketId, key: string): Promise<Upload> {
    const writeId = newWriteId();
    return mustBeDone(
      await this.catalog.createUpload({ writeId, bucketId, key, owner: OWNER, attributes: ATTRIBUTES }),
    );
  }
  async part(bucketId: BucketId, uploadId: UploadId, partNumber: number, size: number): Promise<BlobRef> {
    const blob = blobOf(size);
    mustBeDone(
      await this.catalog.putPart({
        ...{ writeId: newWriteId(), bucketId, uploadId, partNumber, size, etag: `part-${partNumber}` },
        content: { kind: 'blob', blob, intentAt: Date.now() },
      }),
    );
    return blob;
  }
  complete(bucketId: BucketId, upload: Upload, numbers: readonly number[], size: number) {
    return this.catalog.completeUpload({
      ...{ writeId: newWriteId(), bucketId, key: upload.key, uploadId: upload.uploadId, size },
      parts: numbers.map((partNumber) => ({ partNumber, etag: `part-${partNumber}` })),
      etag: `whole-${numbers.length}`,
    });
  }

  /** Names of a page: keys, common prefixes marked with '>'. */
  static names<T extends { readonly key: string }>(page: ListPage<T>): string[] {
    return page.entries.map((entry) => (entry.kind === 'item' ? entry.item.key : `>${entry.prefix}`));
  }
  async keys(bucketId: BucketId): Promise<string[]> {
    return Kit.names(
      await this.catalog.listObjects({ bucketId, prefix: '', delimiter: '', after: '', maxKeys: 1000 }),
    );
  }
  /** Every version of the bucket as `key@id`, markers with '!', the latest with '*'. */
  async versions(bucketId: BucketId): Promise<string[]> {
    const page = await this.catalog.listVersions({
      bucketId,
      prefix: '',
      delimiter: '',
      keyMarker: '',
      maxKeys: 1000,
    });
    return page.entries.map((entry) => {
      assert.ok(entry.kind === 'item');
      const { key, versionId, isLatest, isDeleteMarker } = entry.item;
      return `${key}@${versionId}${isDeleteMarker ? '!' : ''}${isLatest ? '*' : ''}`;
    });
  }
  /** How many of these blobs a row names. */
  async known(...blobs: readonly BlobRef[]): Promise<number> {
    return (await this.catalog.knownBlobs(blobs.map((blob) => blob.id))).size;
  }
  /** Ids of all blobs that are without references, taken as a reaper would. */
  async dying(): Promise<Set<string>> {
    await new Promise((resolve) => setTimeout(resolve, 5));
    return new Set((await this.catalog.takeDyingBlobs(1000, 0)).map(({ blob }) => blob.id as string));
  }
}
