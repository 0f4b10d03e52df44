/**
 * What a gateway and a storage node say to each other. The client is an interface so that the DOSM runs
 * unchanged against real nodes and in a simulated world.
 *
 * A blob travels as chunks of LIMITS.chunkBytes (the last may be shorter), each with its SHA-256; chunk digests
 * are grouped in pages of LIMITS.chunksPerPage, page = SHA-256(its chunk digests), root = SHA-256(page digests).
 * A reader that knows the root (from the catalog) verifies the pages, then each chunk, before it hands it on.
 */
import type { BlobId, Epoch, MemberId, WriteId } from '../base/ids.ts';

/** Why a node could not serve; the DOSM decides by this and never by message text. */
export type NodeErrorKind =
  | 'unreachable' // refused, reset, no route, connect deadline
  | 'timeout' // accepted, and the first byte or the stall deadline passed
  | 'not-found' // the node does not have the blob
  | 'corrupt' // the node has it and it does not verify
  | 'full' // 507: no room
  | 'stale-epoch'
  | 'fenced' // the node is in failover or resyncing
  | 'unauthorized'
  | 'conflict' // a blob with this id exists with another root
  | 'aborted' // our side gave up
  | 'protocol'; // anything that the protocol does not allow

export class NodeError extends Error {
  override readonly name = 'NodeError';
  readonly kind: NodeErrorKind;
  readonly member: MemberId;
  constructor(kind: NodeErrorKind, member: MemberId, message: string, options?: { cause?: unknown }) {
    super(`${member}: ${message}`, options);
    this.kind = kind;
    this.member = member;
  }
}

/** Known to the node before the bytes are durable; what the reaper and a rebuild need. */
export interface WriteIntent {
  readonly writeId: WriteId;
  /** When the write began, ms since the epoch; the catalog refuses the blob after intentAt + intentMs. */
  readonly intentAt: number;
  /** For whom: provisional name record. */
  readonly bucket: string;
  readonly key: string;
  readonly uploadId?: string;
  readonly partNumber?: number;
}

/** One blob on its way to one node. Not for concurrent use: await each call before the next. */
export interface BlobWriter {
  /**
   * Sends one chunk; resolves when the node's socket has room for the next (backpressure). The buffer must not be
   * changed before finish() has resolved.
   * The stall deadline runs only while a call is pending. @throws {NodeError}
   */
  write(chunk: Buffer, digest: Buffer): Promise<void>;
  /** Sends the root; resolves when the node has everything fsynced, with a pending record. @throws {NodeError} */
  finish(root: Buffer): Promise<void>;
  /** Ends the connection without the root: the node drops what it got. Never throws; safe at any time. */
  abort(reason: unknown): void;
}

/** One blob (or a chunk-aligned part of it) on its way from one node. Every chunk that comes out has been verified. */
export interface BlobReader {
  /** The next verified chunk in order, or null at the end. The stall deadline runs only while a call is pending. @throws {NodeError} */
  next(): Promise<Buffer | null>;
  close(): void;
}

export interface InventoryEntry {
  readonly id: BlobId;
  readonly size: number;
  readonly root: Buffer;
  readonly state: 'pending' | 'confirmed';
  readonly intent: WriteIntent;
}

export interface NodeStatus {
  readonly member: MemberId;
  /** Data requests (read, write, delete, search) and control requests since the process started. */
  readonly requests: number;
  readonly controlRequests: number;
  readonly blobs: number;
  readonly storedBytes: number;
  readonly freeBytes: number;
  /** Blobs that the node's index names and whose file is gone. */
  readonly missingBlobs?: number;
  readonly pid: number;
}

export interface NodeDeadlines {
  readonly connectMs: number; // 250
  readonly firstByteMs: number; // 1,000
  readonly stallMs: number; // 2,000
}

/** A connection pool to one node. All calls reject with NodeError. */
export interface NodeClient {
  readonly member: MemberId;
  /**
   * Opens a write; resolves when the node has said that it is ready for the body (so a dead or full node costs no byte).
   * `oneShot` (blobs of one chunk only, and their default) saves that round trip: the write resolves at once, everything
   * is sent by finish(), and every error arrives there.
   */
  write(
    id: BlobId,
    size: number,
    intent: WriteIntent,
    options?: { epoch?: Epoch; signal?: AbortSignal; oneShot?: boolean },
  ): Promise<BlobWriter>;
  /** Opens a read of chunks [firstChunk, lastChunk] (inclusive) of a blob of `size` bytes whose tree has `root`. */
  read(
    id: BlobId,
    blob: { size: number; root: Buffer },
    range: { firstChunk: number; lastChunk: number },
    options?: { epoch?: Epoch; signal?: AbortSignal },
  ): Promise<BlobReader>;
  /** null when the node does not have it. */
  stat(id: BlobId): Promise<InventoryEntry | null>;
  /** Turns pending records into confirmed ones; unknown ids are passed over. At most 1,000. */
  confirm(ids: readonly BlobId[]): Promise<void>;
  /** Removes blobs and their bytes, durably; unknown ids are passed over. At most 1,000. */
  delete(ids: readonly BlobId[]): Promise<void>;
  /** Pending records whose intent began before `before` (ms since the epoch), by id after `after`. */
  pending(query: { before: number; after?: BlobId; max: number }): Promise<readonly InventoryEntry[]>;
  inventory(query: { after?: BlobId; max: number }): Promise<readonly InventoryEntry[]>;
  status(): Promise<NodeStatus>;
  close(): Promise<void>;
}
