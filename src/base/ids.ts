/**
 * Branded identifiers. A string that has been checked carries its meaning in its type; the only
 * way from a plain string to a brand is the parser beside it.
 */
import { randomBytes, randomUUID } from 'node:crypto';

declare const brand: unique symbol;
export type Branded<T, B extends string> = T & { readonly [brand]: B };

/** 32 lower-case hex digits (16 random bytes). Never derived from a key, so it can never be a path. */
export type BlobId = Branded<string, 'BlobId'>;
/** A member of the topology, e.g. `node-a1`, `directory-b1`, `gateway-1`. */
export type MemberId = Branded<string, 'MemberId'>;
/** A pair of twins: kind and host part of the address, e.g. `node/11`, `directory/5`. */
export type PairId = Branded<string, 'PairId'>;
/** Bucket number, unique across all directories (assigned by the root pair). */
export type BucketId = Branded<number, 'BucketId'>;
/** UUID of one write attempt; unique in the catalog, resolves commits whose outcome is unknown. */
export type WriteId = Branded<string, 'WriteId'>;
/** Canonical account (owner) id as S3 shows it, free text of 1–128 characters. */
export type AccountId = Branded<string, 'AccountId'>;
/** Raised by every change of a pair's condition. */
export type Epoch = Branded<number, 'Epoch'>;
/** Multipart upload id as clients see it (URL-safe, at most 64 characters). */
export type UploadId = Branded<string, 'UploadId'>;

const BLOB_ID = /^[0-9a-f]{32}$/;

/** @throws {TypeError} when `text` is not 32 lower-case hex digits. */
export function parseBlobId(text: string): BlobId {
  if (!BLOB_ID.test(text)) throw new TypeError('not a blob id');
  return text as BlobId;
}

export const newBlobId = (): BlobId => randomBytes(16).toString('hex') as BlobId;
export const newWriteId = (): WriteId => randomUUID() as WriteId;
