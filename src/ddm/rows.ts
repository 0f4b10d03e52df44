/**
 * What the catalog keeps about bytes: blobs, object versions and the parts of a manifest. Types alone; catalog.ts,
 * which hands them on, says what may be done with them.
 */
import type { AccountId, BlobId, BucketId, MemberId, PairId } from '../base/ids.ts';

// ---------------------------------------------------------------------------------------------- blobs

/** Immutable bytes that are kept on a pair. `root` proves them: see nodes/digest-tree.ts. */
export interface BlobRef {
  readonly id: BlobId;
  /** Bytes stored: more than the object's own where they are encrypted. */
  readonly size: number;
  /** 32 bytes: SHA-256 root of the digest tree over the stored chunks. */
  readonly root: Buffer;
  /** The pair that both replicas are on. */
  readonly pair: PairId;
  /** Members that hold a replica although they are not of the pair (handoffs); usually empty. */
  readonly offMap?: readonly MemberId[];
  /** Members of the pair for which one of `offMap` stands: they may not have it (yet). Usually empty. */
  readonly absent?: readonly MemberId[];
}

// ------------------------------------------------------------------------------------------- versions

export const CHECKSUM_ALGORITHMS = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number];
export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE';
export interface ObjectChecksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly type: ChecksumType;
  /** Base64; COMPOSITE values end in `-N` as S3 shows them. */
  readonly value: string;
}

/** Headers that S3 stores and gives back unchanged; absent means not set. */
export interface SystemMetadata {
  readonly contentType?: string;
  readonly cacheControl?: string;
  readonly contentDisposition?: string;
  readonly contentEncoding?: string;
  readonly contentLanguage?: string;
  readonly expires?: string;
  readonly websiteRedirectLocation?: string;
}

export interface Retention {
  readonly mode: 'GOVERNANCE' | 'COMPLIANCE';
  readonly until: Date;
}

/** A bucket's default: how long its new versions are retained, from when they are made. Years are those of the calendar. */
export type DefaultRetention = { readonly mode: Retention['mode'] } & (
  | { readonly days: number }
  | { readonly years: number }
);

export const ACL_PERMISSIONS = ['FULL_CONTROL', 'READ', 'WRITE', 'READ_ACP', 'WRITE_ACP'] as const;
export type AclPermission = (typeof ACL_PERMISSIONS)[number];
export const ACL_GROUPS = ['AllUsers', 'AuthenticatedUsers', 'LogDelivery'] as const;
export type AclGroup = (typeof ACL_GROUPS)[number];
export type AclGrantee = { readonly account: AccountId } | { readonly group: AclGroup };
export interface AclGrant {
  readonly grantee: AclGrantee;
  readonly permission: AclPermission;
}
/** The owner is the row's, and has no more by it than what a grant says. */
export type Acl = readonly AclGrant[];

/** How an object's bytes are encrypted. Its parts share the key. */
export interface ObjectEncryption {
  readonly algorithm: string;
  readonly keyId?: string;
  /** The data key, under the key that `keyId` names. */
  readonly sealedKey?: string;
  /** Of a key that the client keeps. */
  readonly customerKeyMd5?: string;
  /** What else the algorithm needs; no nulls. */
  readonly [more: string]: unknown;
}

/** What a client chose about an object; the same for PutObject, CopyObject and CreateMultipartUpload. */
export interface ObjectAttributes {
  readonly system: SystemMetadata;
  /** User metadata, names without `x-amz-meta-`, lower case. */
  readonly user: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  readonly storageClass: string;
  readonly retention?: Retention;
  /** Absent: no hold was ever placed; false: it was lifted. */
  readonly legalHold?: boolean;
  /** Absent: the owner has FULL_CONTROL, nobody else has anything. */
  readonly acl?: Acl;
  readonly encryption?: ObjectEncryption;
}

export interface ObjectVersion extends ObjectAttributes {
  readonly bucketId: BucketId;
  readonly key: string;
  /** `null` for the null version, else an opaque id. */
  readonly versionId: string;
  readonly isLatest: boolean;
  readonly isDeleteMarker: boolean;
  readonly lastModified: Date;
  readonly owner: AccountId;
  /** Bytes of the object; 0 for a delete marker. */
  readonly size: number;
  /** Without quotes; `…-N` for multipart objects; '' for a delete marker. */
  readonly etag: string;
  readonly checksum?: ObjectChecksum;
  /** Where the bytes are. Empty objects and delete markers have none. */
  readonly content: VersionContent;
}

export type VersionContent =
  | { readonly kind: 'empty' }
  | { readonly kind: 'blob'; readonly blob: BlobRef }
  /** A multipart object: its parts are rows of their own, read with {@link Catalog.readManifest}. */
  | { readonly kind: 'manifest'; readonly manifestId: number; readonly partCount: number };

export interface ManifestPart {
  readonly partNumber: number;
  /** Offset of the part in the object, bytes. */
  readonly offset: number;
  readonly size: number;
  readonly etag: string;
  readonly checksum?: string;
  /** A part of zero bytes has no blob. */
  readonly blob: BlobRef | null;
}
