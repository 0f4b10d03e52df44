/**
 * The catalog as the rest of the store sees it: names in, rows out. No SQL, no pg types.
 *
 * Invariants that every implementation keeps (one contract suite runs on all of them):
 * - a commit has three outcomes: done, refused, unknown; unknown is never reported as either of the others;
 * - conditions are evaluated under the key's lock, latest is commit order under that lock;
 * - Last-Modified is the directory's clock;
 * - keys compare bytewise (UTF-8).
 * A call that cannot reach the directory rejects with CatalogUnavailable (503 outside).
 */
import type { AccountId, BlobId, BucketId, Epoch, PairId, UploadId, WriteId } from '../base/ids.ts';
import type { ClusterCatalog } from './cluster-catalog.ts';
import type {
  Amendment,
  Cause,
  CommitRefusal,
  DeleteDone,
  DeleteVersion,
  NewBlobContent,
  Outcome,
  PutDone,
  PutVersion,
  VersionChange,
  WriteCondition,
} from './commits.ts';
import type { NamesCatalog } from './names.ts';
import type { AccessKey, Account, EntityCatalog } from './principals.ts';
import type {
  BlobRef,
  ChecksumAlgorithm,
  ChecksumType,
  DefaultRetention,
  ManifestPart,
  ObjectAttributes,
  ObjectChecksum,
  ObjectVersion,
  Retention,
} from './rows.ts';
import type { AccountUsage, BucketUsage, Quota, QuotaChange } from './usage.ts';

export * from './cluster-catalog.ts';
export * from './commits.ts';
export * from './names.ts';
export * from './principals.ts';
export * from './rows.ts';
export * from './usage.ts';

// -------------------------------------------------------------------------------------------- uploads

export interface Upload {
  readonly uploadId: UploadId;
  readonly bucketId: BucketId;
  readonly key: string;
  readonly initiated: Date;
  readonly owner: AccountId;
  readonly attributes: ObjectAttributes;
  readonly checksumAlgorithm?: ChecksumAlgorithm;
  readonly checksumType?: ChecksumType;
}

export interface UploadPart {
  readonly partNumber: number;
  readonly size: number;
  readonly etag: string;
  readonly lastModified: Date;
  /** Base64, of the upload's algorithm. */
  readonly checksum?: string;
  readonly blob: BlobRef | null;
}

export interface PutPart {
  readonly writeId: WriteId;
  readonly bucketId: BucketId;
  readonly uploadId: UploadId;
  readonly partNumber: number;
  readonly size: number;
  readonly etag: string;
  readonly checksum?: string;
  readonly content:
    | { readonly kind: 'empty' }
    | NewBlobContent
    | { readonly kind: 'share'; readonly blob: BlobRef };
}

export interface CompletePart {
  readonly partNumber: number;
  readonly etag: string;
}

export interface CompleteUpload {
  readonly writeId: WriteId;
  readonly bucketId: BucketId;
  readonly key: string;
  readonly uploadId: UploadId;
  /** Ascending part numbers, already checked against `listParts` by the caller; checked again under the lock. */
  readonly parts: readonly CompletePart[];
  readonly size: number;
  /** ETag of the whole object, `…-N`. */
  readonly etag: string;
  readonly checksum?: ObjectChecksum;
  readonly condition?: WriteCondition;
  readonly cause?: Cause;
}

export type CompleteRefusal = CommitRefusal | 'no-such-upload' | 'invalid-part';

// ------------------------------------------------------------------------------------------- listings

export interface ListObjectsQuery {
  readonly bucketId: BucketId;
  readonly prefix: string;
  /** '' for none. */
  readonly delimiter: string;
  /** Exclusive: entries (keys and common prefixes) strictly after this, bytewise. '' for the start. */
  readonly after: string;
  readonly maxKeys: number;
}
/** What a listing shows of a version. */
export type ListedVersion = Omit<
  ObjectVersion,
  'content' | 'system' | 'user' | 'tags' | 'retention' | 'legalHold' | 'acl' | 'encryption'
>;
export type ListEntry<T> =
  | { readonly kind: 'item'; readonly item: T }
  | { readonly kind: 'prefix'; readonly prefix: string };
export interface ListPage<T> {
  /** In byte order; keys and common prefixes together, at most `maxKeys`. */
  readonly entries: readonly ListEntry<T>[];
  readonly truncated: boolean;
}
export interface ListVersionsQuery extends Omit<ListObjectsQuery, 'after'> {
  /** Versions after (keyMarker, versionIdMarker); with a key marker alone, keys strictly after it. */
  readonly keyMarker: string;
  readonly versionIdMarker?: string;
}
export interface ListUploadsQuery extends Omit<ListObjectsQuery, 'after'> {
  readonly keyMarker: string;
  readonly uploadIdMarker?: UploadId;
}

// ------------------------------------------------------------------------------------------- buckets

/**
 * `two-copies`: two replicas on two nodes, a handoff in the surviving center where the twin is out. `both-centers`: one
 * in each, else 503. `one`: one replica; the other follows and is listed as lag until then.
 */
export const DURABILITIES = ['two-copies', 'both-centers', 'one'] as const;
export type Durability = (typeof DURABILITIES)[number];

export interface Bucket {
  readonly id: BucketId;
  readonly name: string;
  readonly owner: AccountId;
  readonly createdAt: Date;
  readonly region: string;
  /** The directory pair that keeps the bucket's rows. */
  readonly directory: PairId;
  readonly versioning: 'unversioned' | 'enabled' | 'suspended';
  /** Never goes away again, and keeps versioning on. */
  readonly objectLock: boolean;
  /** When a write is acknowledged; absent: `two-copies`. */
  readonly durability?: Durability;
  /** Of buckets with object lock; the commit applies it. */
  readonly defaultRetention?: DefaultRetention;
  /** Subresource documents (policy, cors, lifecycle, tagging, …) by name, as stored; absent means not set. */
  readonly settings: Readonly<Record<string, unknown>>;
}

// --------------------------------------------------------------------------------------- housekeeping

export interface DyingBlob {
  readonly blob: BlobRef;
}
export interface CatalogStatus {
  readonly pair: PairId;
  readonly writable: boolean;
  /** Whether commits wait for the twin at this moment. */
  readonly synchronous: boolean;
  /** The timeline of the pair's primary, while it answers. */
  readonly epoch?: Epoch;
}

export class CatalogUnavailable extends Error {
  override readonly name = 'CatalogUnavailable';
}

// --------------------------------------------------------------------------------------- the interface

/** With what the catalog keeps about the cluster itself: cluster-catalog.ts. */
export interface Catalog extends ClusterCatalog, NamesCatalog, EntityCatalog {
  // Accounts and access keys (root pair). Reads may be cached for at most LIMITS.settingsAgeMs.
  findAccessKey(accessKeyId: string): Promise<AccessKey | null>;
  findAccount(id: AccountId): Promise<Account | null>;
  listAccounts(): Promise<readonly Account[]>;
  createAccount(account: Account): Promise<Outcome<Account, 'exists'>>;
  /** Refused while the account has access keys, users, roles or buckets; the root account is never removed. */
  deleteAccount(
    id: AccountId,
  ): Promise<Outcome<null, 'no-such-account' | 'has-keys' | 'has-entities' | 'has-buckets' | 'root'>>;
  listAccessKeys(account: AccountId): Promise<readonly AccessKey[]>;
  createAccessKey(key: {
    accessKeyId: string;
    account: AccountId;
    sealedSecret: Buffer;
    /** A user of the account, who may have `max` keys. */
    user?: { readonly id: string; readonly max: number };
  }): Promise<Outcome<AccessKey, 'exists' | 'no-such-account' | 'no-such-user' | 'too-many'>>;
  setAccessKeyStatus(
    accessKeyId: string,
    status: 'active' | 'inactive',
  ): Promise<Outcome<null, 'no-such-key'>>;
  /** The same secret, sealed under another key; refused when it is not sealed like `from` any more. */
  resealAccessKey(accessKeyId: string, from: Buffer, to: Buffer): Promise<Outcome<null, 'no-such-key'>>;
  deleteAccessKey(accessKeyId: string): Promise<Outcome<null, 'no-such-key'>>;

  // Buckets. `findBucket` may be cached for at most LIMITS.settingsAgeMs; commits check the real row.
  findBucket(name: string): Promise<Bucket | null>;
  /** By name; without an owner: the buckets of every account. */
  listBuckets(query: {
    owner?: AccountId;
    prefix: string;
    after: string;
    max: number;
  }): Promise<{ buckets: readonly Bucket[]; truncated: boolean }>;
  createBucket(b: {
    name: string;
    owner: AccountId;
    region: string;
    objectLock: boolean;
    settings?: Readonly<Record<string, unknown>>;
  }): Promise<Outcome<Bucket, 'exists' | 'owned-by-you' | 'too-many-buckets'>>;
  deleteBucket(id: BucketId): Promise<Outcome<null, 'no-such-bucket' | 'not-empty'>>;
  setVersioning(
    id: BucketId,
    state: 'enabled' | 'suspended',
  ): Promise<Outcome<null, 'no-such-bucket' | 'locked'>>;
  /** Turns object lock on and sets (or, with null, removes) the default retention of versions to come. */
  setObjectLock(
    id: BucketId,
    defaultRetention: DefaultRetention | null,
  ): Promise<Outcome<null, 'no-such-bucket' | 'not-versioned'>>;
  /** Sets (or, with null, removes) one subresource document. @throws {RangeError} for a `durability` that is none */
  setBucketSetting(
    id: BucketId,
    name: string,
    value: unknown | null,
  ): Promise<Outcome<null, 'no-such-bucket'>>;

  // Objects
  /** The latest version (a delete marker too), or the given one; null when there is no row. */
  findVersion(bucketId: BucketId, key: string, versionId?: string): Promise<ObjectVersion | null>;
  /** The manifest parts that overlap `[from, to]` (bytes, inclusive), ascending; all of them by default. */
  readManifest(
    bucketId: BucketId,
    manifestId: number,
    range?: { from: number; to: number } | { partNumber: number },
  ): Promise<readonly ManifestPart[]>;
  putVersion(put: PutVersion): Promise<Outcome<PutDone, CommitRefusal>>;
  deleteVersion(del: DeleteVersion): Promise<Outcome<DeleteDone, CommitRefusal>>;
  /** Replaces the tags of a version. */
  setTags(
    t: VersionChange & { readonly tags: Readonly<Record<string, string>> },
  ): Promise<Outcome<{ versionId: string }, CommitRefusal>>;
  /**
   * Sets the retention of a version, or takes it away (null). While a retention holds it can be made longer, and anything
   * else is 'locked', but for GOVERNANCE with the bypass.
   */
  setRetention(
    r: VersionChange & { readonly retention: Retention | null; readonly bypassGovernance?: boolean },
  ): Promise<Outcome<{ versionId: string }, CommitRefusal>>;
  setLegalHold(
    h: VersionChange & { readonly legalHold: boolean },
  ): Promise<Outcome<{ versionId: string }, CommitRefusal>>;
  /** Changes a version in place; one of the three at least. Its feed's kind is the first that is there, in this order. */
  amendVersion(a: Amendment): Promise<Outcome<{ versionId: string }, CommitRefusal>>;
  listObjects(query: ListObjectsQuery): Promise<ListPage<ListedVersion>>;
  listVersions(query: ListVersionsQuery): Promise<ListPage<ListedVersion>>;

  // Multipart
  createUpload(
    upload: Omit<Upload, 'initiated' | 'uploadId'> & { writeId: WriteId },
  ): Promise<Outcome<Upload, 'bucket-gone'>>;
  findUpload(bucketId: BucketId, key: string, uploadId: UploadId): Promise<Upload | null>;
  putPart(part: PutPart): Promise<Outcome<{ lastModified: Date }, CommitRefusal | 'no-such-upload'>>;
  listParts(
    bucketId: BucketId,
    uploadId: UploadId,
    query: { after: number; max: number },
  ): Promise<{ parts: readonly UploadPart[]; truncated: boolean }>;
  /** A repeated call with the same parts after success returns the first result. */
  completeUpload(complete: CompleteUpload): Promise<Outcome<PutDone & { etag: string }, CompleteRefusal>>;
  abortUpload(bucketId: BucketId, key: string, uploadId: UploadId): Promise<Outcome<null, 'no-such-upload'>>;
  listUploads(query: ListUploadsQuery): Promise<ListPage<Upload>>;

  // Quotas and usage
  /** A quota below what is in use is kept: then nothing may grow. Answers the quota as it is now. */
  setBucketQuota(id: BucketId, change: QuotaChange): Promise<Outcome<Quota, 'no-such-bucket'>>;
  setAccountQuota(id: AccountId, change: QuotaChange): Promise<Outcome<Quota, 'no-such-account'>>;
  /** By name. */
  listBucketUsage(query: {
    name?: string;
    owner?: AccountId;
    after: string;
    max: number;
  }): Promise<{ buckets: readonly BucketUsage[]; truncated: boolean }>;
  /** Accounts that own buckets or have a quota; all of them, or this one. */
  listAccountUsage(account?: AccountId): Promise<readonly AccountUsage[]>;

  // Housekeeping, for jobs. All may be called by several gateways at once.
  /** Which of these blob ids a row names (live or dying); asks every directory; rejects if one cannot be asked. */
  knownBlobs(ids: readonly BlobId[]): Promise<ReadonlySet<BlobId>>;
  /** Marks blobs whose last reference went away more than `graceMs` ago as being reclaimed, and returns up to `max`. */
  takeDyingBlobs(max: number, graceMs: number): Promise<readonly DyingBlob[]>;
  /** Removes the rows of blobs whose replicas are gone from every node. */
  forgetBlobs(ids: readonly BlobId[]): Promise<void>;
  status(): Promise<readonly CatalogStatus[]>;
  close(): Promise<void>;
}
