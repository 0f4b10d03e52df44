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
  /** With `stale-epoch` and `fenced`, when the node itself says so: the pair's epoch as the node knows it. */
  epoch?: Epoch | undefined;
  constructor(
    kind: NodeErrorKind,
    member: MemberId,
    message: string,
    options?: { cause?: unknown; epoch?: Epoch | undefined },
  ) {
    super(`${member}: ${message}`, options);
    this.kind = kind;
    this.member = member;
    this.epoch = options?.epoch;
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
  /** A handoff: parked here for this member of another pair. Such blobs are left out of digests and home inventories. */
  readonly handoffFor?: MemberId;
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
  readonly missingBlobs: number;
  /** Data requests that were refused (fenced, or an epoch below the node's); not counted in `requests`. */
  readonly refusedRequests: number;
  readonly state: NodeState;
  /** The highest that the node has heard of. */
  readonly epoch: Epoch;
  /** Random, made with the data folder: another one at the same address is another disk. */
  readonly storeId: string;
  /** Blobs on the damage list. */
  readonly damaged: number;
  readonly scrub: ScrubStatus;
  readonly pid: number;
  /** The catalog whose blobs these are; null until a gateway has said so. */
  readonly catalog?: string | null;
  /** Records of names (names-protocol.ts), and the highest change number among them. */
  readonly names?: { readonly count: number; readonly highest: number; readonly damaged: number };
}

export interface NodeDeadlines {
  readonly connectMs: number; // 250
  readonly firstByteMs: number; // 1,000
  readonly stallMs: number; // 2,000
}

/**
 * A connection pool to one node. All calls reject with NodeError.
 *
 * Data requests (write, read, delete) carry the epoch of the node's pair as the caller knows it. Below the node's they
 * are refused with `stale-epoch`; above, the node takes the number over; without one, they are served only while the
 * node's epoch is still the first. A node that is not serving refuses them with `fenced`. Either refusal comes before
 * any effect. A write that the node stopped serving in the middle of is refused at its end.
 */
export interface NodeClient extends NodeControl {
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
  /**
   * Opens a read of chunks [firstChunk, lastChunk] (inclusive) of a blob of `size` bytes whose tree has `root`.
   * `epoch`: of the node's own pair, as the caller knows it. `lastResort`: a resyncing node answers too (nobody else
   * can). `purpose: 'replication'`: another node's, or a tool's: a control request, without an epoch, in every state.
   */
  read(
    id: BlobId,
    blob: { size: number; root: Buffer },
    range: { firstChunk: number; lastChunk: number },
    options?: { epoch?: Epoch; signal?: AbortSignal; lastResort?: boolean; purpose?: 'replication' },
  ): Promise<BlobReader>;
  /** null when the node does not have it. */
  stat(id: BlobId): Promise<InventoryEntry | null>;
  /** Turns pending records into confirmed ones; unknown ids are passed over. At most 1,000. */
  confirm(ids: readonly BlobId[]): Promise<void>;
  /** Removes blobs and their bytes, durably; unknown ids are passed over. At most 1,000. */
  delete(ids: readonly BlobId[], options?: { epoch?: Epoch }): Promise<void>;
  /** Pending records whose intent began before `before` (ms since the epoch), by id after `after`. */
  pending(query: { before: number; after?: BlobId; max: number }): Promise<readonly InventoryEntry[]>;
  status(): Promise<NodeStatus>;
  close(): Promise<void>;
}

/** What a node says in the `detail` of a search's answer about a blob that it has. */
export interface FoundDetail {
  readonly size: number;
  /** Hex. */
  readonly root: string;
  readonly state: InventoryEntry['state'];
}

/** Searches point to point: a data request. The bytes are those of twin/search-wire.ts. Rejects with NodeError. */
export interface NodeSearch {
  search(question: Buffer, options?: { epoch?: Epoch; signal?: AbortSignal }): Promise<Buffer>;
}

// ------------------------------------------------------------------------- conditions, replication, scrub

/**
 * `fenced`: answers control requests alone (every node starts so, until a gateway that has read the record admits it).
 * `resyncing`: the same, and reads that say `lastResort`. `serving`: everything.
 */
export type NodeState = 'fenced' | 'resyncing' | 'serving';

export interface ScrubStatus {
  /** Bytes read and blobs verified in the round under way, and when the last whole round ended (ms since the epoch). */
  readonly bytes: number;
  readonly blobs: number;
  readonly roundStartedAt: number | null;
  readonly lastRoundEndedAt: number | null;
  readonly bytesPerSecondMax: number;
}

/** Where a node finds another one. */
export interface NodeEndpoint {
  readonly member: MemberId;
  readonly address: string;
  readonly port: number;
}

export interface PullRequest {
  /** Tried in this order, blob by blob. */
  readonly sources: readonly NodeEndpoint[];
  /** At most 1,000. `state`: as it will stand here. `replace`: what is here is dropped when it does not verify. */
  readonly blobs: readonly {
    readonly id: BlobId;
    readonly size: number;
    readonly root: Buffer;
    readonly state: InventoryEntry['state'];
    readonly intent: WriteIntent;
    readonly replace?: boolean;
  }[];
  /** Bytes a second at most; absent: no limit. */
  readonly bytesPerSecondMax?: number;
}
/** `had`: it was here and (with `replace`) verified. `failed`: nothing was changed. */
export interface PullResult {
  readonly id: BlobId;
  readonly outcome: 'pulled' | 'had' | 'failed';
  /** With `failed`: why, of the last source. */
  readonly kind?: NodeErrorKind;
  readonly error?: string;
}

/** Of the blobs (handoffs left out) whose id begins with `prefix`. `sum` = XOR of SHA-256(id, size, root) over them. */
export interface RangeDigest {
  /** 2 or 4 lower-case hex digits. */
  readonly prefix: string;
  readonly count: number;
  /** 32 bytes. */
  readonly sum: Buffer;
}

export interface Damage {
  readonly id: BlobId;
  readonly kind: 'missing' | 'corrupt';
  /** ms since the epoch */
  readonly foundAt: number;
}

/** Control requests: counted apart, answered in every state, without an epoch. All reject with NodeError. */
export interface NodeControl {
  /**
   * What the record says of this node and its pair. Durable when it resolves. An epoch below the node's is refused
   * (`stale-epoch`); the same epoch again is fine.
   */
  setCondition(condition: { state: NodeState; epoch: Epoch }): Promise<NodeStatus>;
  /**
   * Copies blobs from other nodes, verified against their roots, durable when it resolves. One result for each, in
   * order. Of a blob that is here already, the state (towards confirmed) and a handoff's destination are set as asked.
   * It may take as long as it makes progress; the signal, or the end of the connection, ends it.
   */
  pull(request: PullRequest, signal?: AbortSignal): Promise<readonly PullResult[]>;
  /** The 256 ranges of one byte; with `prefix` (2 hex digits), the 256 ranges of two bytes below it. Those without blobs are left out. */
  digests(prefix?: string): Promise<readonly RangeDigest[]>;
  /** `prefix`: 2 or 4 hex digits. `scope`: `home` leaves handoffs out, `handoff` gives them alone. Default: everything. */
  inventory(query: {
    after?: BlobId;
    max: number;
    prefix?: string;
    scope?: 'home' | 'handoff';
  }): Promise<readonly InventoryEntry[]>;
  /** Removes as delete() does, in every state and without being a data request: for resync and repair. At most 1,000. */
  drop(ids: readonly BlobId[]): Promise<void>;
  /**
   * Reads every byte of these blobs and says which do not verify; those join the damage list. What the node does not
   * have at all is answered as `missing` and joins nothing. At most 100.
   */
  check(ids: readonly BlobId[], signal?: AbortSignal): Promise<readonly Damage[]>;
  /** What scrub, reads and start-up found and nobody has taken yet, by id. */
  damage(query: { after?: BlobId; max: number }): Promise<readonly Damage[]>;
  /** They are queued for repair, or repaired: off the list. */
  forgetDamage(ids: readonly BlobId[]): Promise<void>;
  /** Starts a round of the scrub now, or sets its rate (0: off) until the process ends. */
  scrub(command: { start?: boolean; bytesPerSecondMax?: number }): Promise<ScrubStatus>;
}
