/**
 * The DOSM as the S3 front end sees it: bytes in, a BlobRef out; a BlobRef in, verified bytes out.
 * Invariants: a resolved write is fsynced on two nodes (on one, where the bucket asks for that); a byte that comes out
 * of a read has been verified against the blob's root; a read that cannot go on throws, and never ends early.
 */
import type { Epoch, MemberId, WriteId } from '../base/ids.ts';
import type { BlobRef, Durability } from '../ddm/catalog.ts';
import type { WriteIntent } from '../nodes/protocol.ts';

/** No replica could be written or read in time. 503 outside, with Retry-After. */
export class BytesUnavailable extends Error {
  override readonly name = 'BytesUnavailable';
}
/** Every pair that could take the blob is out of room. Outside: 507 as S3 has no code of its own (see docs/errors.md). */
export class StorageFull extends Error {
  override readonly name = 'StorageFull';
}

export interface WriteRequest {
  /** Bytes that `source` will yield; another count is an error. 1 … LIMITS.blobBytesMax. */
  readonly size: number;
  /**
   * The plain bytes. An error thrown by the source aborts the write on both nodes and is rethrown unchanged.
   * The DOSM pulls only as fast as both nodes take.
   */
  readonly source: AsyncIterable<Buffer>;
  /** What placement hashes: (bucket, key), or (upload id, part number). */
  readonly placement:
    | { readonly kind: 'object'; readonly bucket: string; readonly key: string }
    | { readonly kind: 'part'; readonly uploadId: string; readonly partNumber: number };
  readonly intent: Omit<WriteIntent, 'intentAt' | 'writeId'>;
  readonly writeId: WriteId;
  /** The bucket's; default `two-copies`. */
  readonly durability?: Durability;
  readonly signal?: AbortSignal;
}
/** What the commit is told: catalog.ts' NewBlobContent without its kind. */
export interface WrittenBlob {
  /** With `offMap` and `absent` where a handoff stands for a member of the pair. */
  readonly blob: BlobRef;
  readonly intentAt: number;
  /** The pair's epoch under which the replicas are where they are. */
  readonly epoch: Epoch;
  /** Members that get theirs in the background (durability `one`). */
  readonly lagging?: readonly MemberId[];
}

export interface ReadRequest {
  /** In order; together they make the bytes to send. Each: a blob and the inclusive byte range wanted of it. */
  readonly segments: readonly { readonly blob: BlobRef; readonly from: number; readonly to: number }[];
  readonly signal?: AbortSignal;
}

export interface Dosm {
  /** @throws {BytesUnavailable} @throws {StorageFull} and whatever the source throws */
  write(request: WriteRequest): Promise<WrittenBlob>;
  /**
   * Resolves when the first chunk has been verified (so that headers may be sent), then yields verified bytes with
   * backpressure, changing replicas in mid-stream where needed. Throws BytesUnavailable when no replica is left.
   */
  read(request: ReadRequest): Promise<AsyncIterable<Buffer>>;
  /**
   * The commit was refused with `stale-epoch`: reloads the conditions and makes what was written satisfy them (a
   * handoff is copied from a survivor, node to node, where a member has gone out). The answer goes into the same commit again.
   * @throws {BytesUnavailable} when that is not possible in time
   */
  reaffirm(written: WrittenBlob, durability?: Durability): Promise<WrittenBlob>;
  /** The catalog has committed rows that name these blobs: tells the nodes, soon and without being waited for. */
  confirm(blobs: readonly BlobRef[]): void;
  /** The write was refused or failed: removes the bytes, soon and without being waited for. Never after an unknown outcome. */
  discard(blobs: readonly BlobRef[]): void;
  close(): Promise<void>;
}
