/**
 * Where a node keeps its bytes. Local disk today; another provider's store may stand behind the same interface.
 * Invariants: what commit(), putSmall(), confirm() and remove() have resolved survives the loss of power; a blob is
 * visible whole or not at all; an id never changes its bytes.
 */
import type { BlobId } from '../../base/ids.ts';
import type { Damage, InventoryEntry, RangeDigest, WriteIntent } from '../protocol.ts';
import type { Names } from './names.ts';
import type { Notes } from './notes.ts';

export type StoreErrorKind =
  | 'full' // no room; nothing was changed
  | 'conflict' // the id exists with other bytes, or was removed while its bytes arrived
  | 'corrupt' // what was to be committed contradicts itself
  | 'closed';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly kind: StoreErrorKind;
  constructor(kind: StoreErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}

export interface NewBlob {
  readonly id: BlobId;
  /** 1 … LIMITS.blobBytesMax */
  readonly size: number;
  readonly intent: WriteIntent;
  /** Default `pending`. */
  readonly state?: InventoryEntry['state'];
  /** Bytes that are here under this id and root are replaced (their record stays): they did not verify. */
  readonly replace?: boolean;
}

/** A large blob on its way in. Await each call before the next; end with commit() or discard(). */
export interface BlobSink {
  /** Takes the parts of one chunk that has been verified, and its digest. @throws {StoreError} */
  append(parts: readonly Buffer[], chunkDigest: Buffer): Promise<void>;
  /** Makes the blob durable. The same bytes twice are no error. @throws {StoreError} */
  commit(root: Buffer): Promise<void>;
  /** Drops what was written. Never throws; does nothing after commit(). */
  discard(): Promise<void>;
}

/** An open large blob; close() it. Nothing it returns has been verified. */
export interface BlobSource {
  readonly pageList: Buffer;
  /** Concatenated chunk digests of a page. */
  page(index: number): Promise<Buffer>;
  /** Fills `into`, which has the chunk's length. */
  chunk(index: number, into: Buffer): Promise<void>;
  close(): Promise<void>;
}

export interface StoreTotals {
  readonly blobs: number;
  readonly storedBytes: number;
  readonly freeBytes: number;
  /** Blobs that the index names and whose file is gone. */
  readonly missingBlobs: number;
}

export interface Reservation {
  /** Bytes that are on disk by now, and so no longer only promised. */
  used(bytes: number): void;
  release(): void;
}

export interface InventoryQuery {
  readonly after?: BlobId;
  readonly max: number;
  /** 2 or 4 hex digits */
  readonly prefix?: string;
  readonly scope?: 'home' | 'handoff';
}

export interface BlobStore {
  readonly storeId: string;
  readonly notes: Notes;
  readonly names: Names;
  /** Refuses what would not leave the reserve free. @throws {StoreError} full */
  reserve(size: number): Promise<Reservation>;
  /** `frame` = [page digest][chunk digest][bytes] of a blob of one chunk up to LIMITS.smallBlobBytesMax. */
  putSmall(blob: NewBlob, root: Buffer, frame: Buffer, reservation: Reservation): Promise<void>;
  /** @throws {StoreError} */
  createLarge(blob: NewBlob, reservation: Reservation): Promise<BlobSink>;
  stat(id: BlobId): InventoryEntry | null;
  /** Whether the index names it, its bytes being there or not. */
  isNamed(id: BlobId): boolean;
  /** The frame as putSmall() took it; null when there is no such small blob. */
  readSmall(id: BlobId): Buffer | null;
  /** null when there is no such large blob, or its file is gone. */
  openLarge(entry: InventoryEntry): Promise<BlobSource | null>;
  confirm(ids: readonly BlobId[]): Promise<void>;
  /** A large blob that is on its way in is refused when it comes to commit(). */
  remove(ids: readonly BlobId[]): Promise<void>;
  pending(query: { before: number; after?: BlobId; max: number }): readonly InventoryEntry[];
  inventory(query: InventoryQuery): readonly InventoryEntry[];
  digests(prefix?: string): readonly RangeDigest[];
  /** Gives a blob that is here another intent, and confirms it where `confirmed` is asked for. Durable. */
  settle(id: BlobId, state: InventoryEntry['state'], intent: WriteIntent): Promise<void>;
  /** Confirmed blobs become pending again, as if their writes had begun at `intentAt`; others are passed over. Durable. */
  release(ids: readonly BlobId[], intentAt: number): Promise<void>;
  /** Notes damage of a blob, durably, unless it was removed meanwhile. */
  report(id: BlobId, kind: Damage['kind']): Promise<void>;
  totals(): Promise<StoreTotals>;
  close(): Promise<void>;
}
