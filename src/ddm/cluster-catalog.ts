/**
 * What the catalog keeps about the cluster itself: conditions with their epochs and history (root pair), and, in every
 * directory, which replicas are missing and who may hold one off the map. Part of the Catalog interface.
 */
import type { BlobId, BucketId, Epoch, MemberId, PairId } from '../base/ids.ts';
import type { Conditions, RecordedState } from '../twin/condition.ts';
import type { Topology } from '../twin/topology.ts';
import type { Outcome } from './catalog.ts';
import type { BlobRef } from './rows.ts';

// ------------------------------------------------------------------------------------------ conditions

export interface ConditionChange {
  /** One member; or every member of a center that is not in that state yet, all or none. */
  readonly subject:
    | { readonly kind: 'member'; readonly member: MemberId }
    | { readonly kind: 'center'; readonly center: string };
  readonly to: RecordedState;
  /**
   * Compare-and-set: the pair's epoch as the decider knew it (the cluster's, for a center). Absent: whatever it is, for
   * an operator's word.
   */
  readonly expectedEpoch?: Epoch;
  readonly why: string;
  readonly decidedBy: string;
  /**
   * With `failed-over`: whether detection may bring the member back by itself. Absent: no, as an operator means it. What
   * had failed over already is held by an operator's word (from now on it may not return), and not freed by detection's.
   */
  readonly mayReturn?: boolean;
  /** Enter although the twin does not serve. */
  readonly force?: boolean;
  /** With `serving`: the data folder that serves from now on. */
  readonly storeId?: string;
}
export type ConditionRefusal =
  | 'stale-epoch' // somebody was faster: read again
  | 'twin-not-serving' // `detail` names the twin and its state
  | 'no-such-subject'
  // No such transition; `detail` says from what (serving needs resyncing before it). Centers can only fail over: they come
  // back member by member. Directories change by their pair's decider, never here.
  | 'not-allowed';

export interface ConditionEvent {
  readonly id: number;
  /** A member's id, or `center a`. */
  readonly subject: string;
  readonly state: RecordedState;
  readonly epoch: Epoch;
  readonly at: Date;
  readonly why: string;
  readonly decidedBy: string;
}

// --------------------------------------------------------------------------------------------- repairs

export type RepairReason =
  | 'handoff' // written while the member was away; a handoff stands for it
  | 'lag' // acknowledged after one replica (durability `one`)
  | 'missing' // should be there and is not
  | 'corrupt' // is there and does not verify
  | 'lost'; // no replica was found anywhere

/** One replica that a member of the blob's pair should have and does not (or not rightly). Key: (blob, member). */
export interface Repair {
  readonly blob: BlobRef;
  readonly member: MemberId;
  readonly reason: RepairReason;
  readonly since: Date;
  /** How often it was taken, this time included. */
  readonly attempts: number;
  readonly lastError?: string;
}
/** A replica on a member that is not of the blob's pair. */
export interface OffMapReplica {
  readonly blobId: BlobId;
  readonly member: MemberId;
}
export interface NewRepair {
  readonly blobId: BlobId;
  readonly member: MemberId;
  readonly reason: RepairReason;
  /** read, scrub, verify, resync, search, write */
  readonly foundBy: string;
}

// ---------------------------------------------------------------------------------------------- resync

export type ResyncPhase = 'tombstones' | 'compare' | 'pull' | 'handoffs' | 'audit';
/** The progress of one member's resync; one row per member, kept after its end until the next. */
export interface ResyncState {
  readonly member: MemberId;
  /** The pair's epoch when it began: another one makes it void. */
  readonly epoch: Epoch;
  readonly phase: ResyncPhase | 'done' | 'failed';
  readonly startedAt: Date;
  readonly updatedAt: Date;
  /** The gateway that drives it, and until when nobody else does. */
  readonly owner: string;
  readonly comparedRanges: number;
  readonly toPull: number;
  readonly pulledBlobs: number;
  readonly pulledBytes: number;
  readonly removedBlobs: number;
  /** Handoffs and other repairs that still wait for the member. */
  readonly lag: number;
  readonly lastError?: string;
}

// ------------------------------------------------------------------------------------------- interface

/** A pair of nodes as it was registered. */
export interface KnownPair {
  readonly id: PairId;
  readonly weight: number;
  /** By id. */
  readonly members: readonly {
    readonly id: MemberId;
    readonly center: string;
    readonly address: string;
    readonly port: number;
  }[];
}

/** What was decided about a directory. */
export interface DirectoryEvent {
  readonly pair: PairId;
  readonly member: MemberId;
  /** `primary`: promoted, and its twin is out. `may-return`: an operator lets it come back. */
  readonly state: 'primary' | 'failed-over' | 'may-return' | 'serving';
  /** The pair's timeline. */
  readonly epoch: Epoch;
  readonly at: Date;
  /** The same, finer: for the next page. */
  readonly cursor: string;
  readonly why: string;
  readonly decidedBy: string;
}

export interface ClusterCatalog {
  // Root pair.
  /**
   * Makes the members known (idempotent); new ones serve at epoch 1. A weight that setPairWeight has set is kept. Members
   * that the topology does not name stay known. Where the outcome is unknown, this and the other calls here that answer
   * no outcome reject with CatalogUnavailable and may be repeated.
   */
  registerTopology(topology: Topology): Promise<void>;
  readConditions(): Promise<Conditions>;
  /**
   * `done` carries the record as it is afterwards. A change to the state that is there already is done and raises nothing
   * (`expectedEpoch` is looked at first). A center that was declared out serves again with the last of its nodes. The
   * member's resync, if one is under way, ends as `done` with serving and as `failed` with failed-over.
   */
  changeCondition(change: ConditionChange): Promise<Outcome<Conditions, ConditionRefusal>>;
  /** Lets detection bring back what an operator failed over (`failover leave`): sets mayReturn. No new epoch. */
  allowReturn(
    subject: ConditionChange['subject'],
    decidedBy: string,
  ): Promise<Outcome<Conditions, 'no-such-subject'>>;
  /** Newest first. */
  conditionHistory(query: { max: number; before?: number }): Promise<readonly ConditionEvent[]>;
  /** Of every directory pair, newest first, `before` the cursor of an event. `silent`: pairs whose events are missing. */
  directoryHistory(query: { max: number; before?: string }): Promise<{
    readonly events: readonly DirectoryEvent[];
    readonly silent: readonly PairId[];
  }>;
  /** Remembers the data folder of a member that serves and has none recorded; answers the recorded one (null: none). */
  adoptStore(member: MemberId, storeId: string): Promise<string | null>;

  /**
   * Takes or renews the lease of a member's resync, and writes what is given of its progress. null: another gateway
   * has it, or `epoch` is not the pair's (any more). A new epoch starts a new row; counters are the caller's absolute
   * figures. The owner may still write `done` or `failed` when the epoch has passed. `leaseMs: 0` gives it up.
   */
  leaseResync(
    lease: { member: MemberId; epoch: Epoch; owner: string; leaseMs: number },
    progress?: Partial<Omit<ResyncState, 'member' | 'epoch' | 'owner' | 'startedAt' | 'updatedAt'>>,
  ): Promise<ResyncState | null>;
  listResyncs(): Promise<readonly ResyncState[]>;

  // Every directory.
  /**
   * Queues repairs of live blobs; one that is queued already keeps its first reason, but 'lost' and 'corrupt' overrule.
   * At most 1,000 (RangeError).
   */
  addRepairs(repairs: readonly NewRepair[]): Promise<void>;
  /**
   * Leases up to `max` repairs that are due, those due longest first; of one member, or of any but those in `except`. Dying
   * blobs have none. A member that is not of the blob's pair (any more) needs none: finish it.
   */
  takeRepairs(query: {
    max: number;
    leaseMs: number;
    member?: MemberId;
    except?: readonly MemberId[];
  }): Promise<readonly Repair[]>;
  /**
   * Ends them: the replica is there and verified. With the last repair of a blob, its replicas off the map are wanted no
   * longer (until then each may be the second copy): no row shows them from then on, and they are answered, here and by
   * listSurplus, until forgetOffMap is told that their bytes are gone. A member without a repair may be named too.
   */
  finishRepairs(done: readonly { blobId: BlobId; member: MemberId }[]): Promise<readonly OffMapReplica[]>;
  /** Replicas off the map whose bytes are to be dropped, then told to forgetOffMap. */
  listSurplus(max: number): Promise<readonly OffMapReplica[]>;
  forgetOffMap(dropped: readonly OffMapReplica[]): Promise<void>;
  /** Not now: again after `retryMs`. */
  postponeRepairs(
    failed: readonly {
      blobId: BlobId;
      member: MemberId;
      error: string;
      retryMs: number;
      reason?: RepairReason;
    }[],
  ): Promise<void>;
  /** By (member, blob), keyset; for people and for `status`. */
  listRepairs(query: {
    member?: MemberId;
    after?: { member: MemberId; blobId: BlobId };
    max: number;
  }): Promise<readonly Repair[]>;
  /** How many wait, in all and for each member. */
  countRepairs(): Promise<{ readonly queued: number; readonly byMember: ReadonlyMap<MemberId, number> }>;
  /** A replica was found off the map, standing for nobody in particular. Queues repairs (`missing`) for the map's members. */
  recordOffMap(blobId: BlobId, member: MemberId): Promise<void>;

  /**
   * Blobs by id (bytewise), all directories merged; of a pair or a bucket where given. Dying ones are left out. A page of a
   * bucket costs a look at the whole bucket: ask for large ones (10,000).
   */
  listBlobs(query: {
    after?: BlobId;
    max: number;
    pair?: PairId;
    bucketId?: BucketId;
  }): Promise<readonly BlobRef[]>;
  /** Those of the ids that are live, with what is recorded of them. */
  findBlobs(ids: readonly BlobId[]): Promise<readonly BlobRef[]>;
  /** Blobs of the pair that died and whose bytes may still be on a member: the tombstones of a resync. */
  listDying(query: { pair: PairId; after?: BlobId; max: number }): Promise<readonly BlobId[]>;
  /** Object versions (delete markers are none), for the last line of `verify`. */
  countObjects(bucketId?: BucketId): Promise<number>;
  /**
   * Moves live blobs to another pair, those that are still on `from`, unless the epoch of `to` is past `toEpoch`; answers those
   * that moved. Their repairs are dropped, and what they have off the map is surplus from then on. The replicas on `from`
   * are the caller's to drop.
   */
  moveBlobs(
    moves: readonly { blobId: BlobId; from: PairId; to: PairId; toEpoch: Epoch }[],
  ): Promise<readonly BlobId[]>;
  /** The share of new blobs among the pairs of nodes; 0 drains. @throws {RangeError} below 0, or not finite */
  setPairWeight(pair: PairId, weight: number): Promise<Outcome<null, 'no-such-pair'>>;
  pairWeights(): Promise<ReadonlyMap<PairId, number>>;
  /** Pairs of nodes that any gateway has registered, by id: those that were added since this one read its configuration too. */
  knownPairs(): Promise<readonly KnownPair[]>;
}
