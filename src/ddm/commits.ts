/** Commits of object versions: what is asked, under which conditions, and the three outcomes. Types alone; catalog.ts hands them on. */
import type { AccountId, BucketId, Epoch, MemberId, WriteId } from '../base/ids.ts';
import type {
  Acl,
  BlobRef,
  ObjectAttributes,
  ObjectChecksum,
  ObjectEncryption,
  VersionContent,
} from './rows.ts';

/**
 * The three outcomes. `unknown`: the statement may or may not have taken effect; the caller answers 503
 * and must not reap the blobs that it named.
 */
export type Outcome<T, R extends string> =
  | { readonly outcome: 'done'; readonly value: T }
  | { readonly outcome: 'refused'; readonly reason: R; readonly detail?: string }
  | { readonly outcome: 'unknown' };

/** `ifMatch: '*'` = any current object; an ETag without quotes otherwise. `ifNoneMatch` takes '*' or an ETag. */
export interface WriteCondition {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: string;
  /** DELETE only (S3: x-amz-if-match-last-modified-time, x-amz-if-match-size). */
  readonly ifMatchLastModified?: Date;
  readonly ifMatchSize?: number;
}

/** Why a change was made, for those who read the feed. */
export interface Cause {
  /** `Put`, `Post`, `Copy`, `CompleteMultipartUpload`, `Delete`, `LifecycleExpiration`, `LifecycleTransition`, … */
  readonly via: string;
  readonly principal?: string;
  readonly ip?: string;
  readonly requestId?: string;
}

export type CommitRefusal =
  | 'precondition-failed' // 412
  | 'no-such-key' // If-Match and the key is not there: 404
  | 'bucket-gone' // 404 NoSuchBucket
  | 'no-such-version'
  | 'locked' // object lock: 403
  | 'no-object-lock' // retention or a legal hold in a bucket without object lock: 400
  | 'over-quota'
  | 'intent-expired' // the blob is older than intentMs: 503, the client repeats
  | 'blob-dying' // a shared blob lost its last reference: stream the bytes instead
  | 'stale-epoch';

/**
 * A blob written for this row. `intentAt` is when its write began (ms since the epoch). The commit is refused with
 * `stale-epoch` when the pair's epoch is past `epoch` (not checked when absent). `blob.offMap[i]` stands for
 * `blob.absent[i]`: recorded with the row, with a repair (`handoff`) for each. Members in `lagging` get theirs in the
 * background (durability `one`): a repair (`lag`) is recorded.
 */
export interface NewBlobContent {
  readonly kind: 'blob';
  readonly blob: BlobRef;
  readonly intentAt: number;
  readonly epoch?: Epoch;
  readonly lagging?: readonly MemberId[];
}

export interface PutVersion {
  readonly writeId: WriteId;
  readonly bucketId: BucketId;
  readonly key: string;
  readonly owner: AccountId;
  readonly size: number;
  readonly etag: string;
  readonly attributes: ObjectAttributes;
  readonly checksum?: ObjectChecksum;
  readonly condition?: WriteCondition;
  readonly cause?: Cause;
  readonly content:
    | { readonly kind: 'empty' }
    | NewBlobContent
    /** Bytes that exist already: takes a reference to the blob or manifest of another version of this directory. */
    | { readonly kind: 'share'; readonly content: VersionContent };
}

export interface PutDone {
  readonly versionId: string;
  readonly lastModified: Date;
}

export interface DeleteVersion {
  readonly writeId: WriteId;
  readonly bucketId: BucketId;
  readonly key: string;
  readonly owner: AccountId;
  /** Absent: the plain DELETE (removes the object, or adds a delete marker where versioning is on). */
  readonly versionId?: string;
  readonly condition?: WriteCondition;
  readonly bypassGovernance?: boolean;
  readonly cause?: Cause;
}

export interface DeleteDone {
  /** Whether a row was removed or a marker written (S3 answers 204 either way). */
  readonly existed: boolean;
  /** The delete marker written, or the version removed. */
  readonly versionId?: string;
  readonly deleteMarker?: boolean;
}

/** Which version a change in place is about: the latest, or the one that is named. */
export interface VersionChange {
  readonly writeId: WriteId;
  readonly bucketId: BucketId;
  readonly key: string;
  readonly versionId?: string;
  readonly cause?: Cause;
}

/** What is absent stays; null takes away. */
export interface Amendment extends VersionChange {
  readonly acl?: Acl | null;
  readonly encryption?: ObjectEncryption | null;
  readonly storageClass?: string;
  /** `ifEncryption`: it is encrypted like this at that moment (null: not at all), so that its bytes are still the same. */
  readonly condition?: WriteCondition & { readonly ifEncryption?: ObjectEncryption | null };
}
