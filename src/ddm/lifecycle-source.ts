/**
 * What the job that applies lifecycle rules asks of the catalog: whose turn a bucket is, pages of versions, and actions that
 * happen only if what the rule saw still stands. How it works: migrations/0031_lifecycle.sql.
 */
import type { AccountId, BucketId, PairId, WriteId } from '../base/ids.ts';
import type { Bucket, Cause } from './catalog.ts';

export interface LifecyclePosition {
  readonly phase: 'uploads' | 'versions';
  /** The prefix that is being gone through, by its place among all. */
  readonly range: number;
  /** What comes after this. */
  readonly key: string;
  readonly seq?: number;
  readonly uploadId?: string;
}

export interface LifecycleCounts {
  scanned: number;
  expired: number;
  removed: number;
  transitioned: number;
  aborted: number;
  kept: number;
}

/** One gateway's turn at one bucket. */
export interface LifecycleTurn {
  readonly pair: PairId;
  readonly bucketId: BucketId;
  readonly bucket: string;
  readonly owner: AccountId;
  readonly versioning: Bucket['versioning'];
  /** The bucket's setting, as stored. */
  readonly configuration: unknown;
  /** Of exactly these rules. */
  readonly rules: string;
  readonly position: LifecyclePosition | null;
  readonly turn: number;
  /** When the pass began; both by the directory's clock, ms since the epoch. */
  readonly startedAt: number;
  readonly now: number;
}

export interface LifecycleSave {
  readonly position: LifecyclePosition | null;
  /** Since the last save. */
  readonly counts: Readonly<LifecycleCounts>;
  /** The pass has ended, and the next one begins then. */
  readonly endedAndNextAtMs?: number;
  readonly error?: string;
}

export interface LifecycleVersion {
  readonly key: string;
  readonly seq: number;
  readonly versionId: string;
  readonly isLatest: boolean;
  readonly isDeleteMarker: boolean;
  readonly size: number;
  readonly lastModified: number;
  readonly storageClass: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly isLocked: boolean;
  readonly isAlone: boolean;
  readonly successorAt: number | null;
  readonly newerNoncurrent: number;
  /** Of all that a rule may have looked at. */
  readonly mark: string;
}

export interface LifecyclePage {
  readonly versions: readonly LifecycleVersion[];
  /** The directory's clock when it was read. */
  readonly now: number;
}

/** What is to be done with a version, if it is still as `seen`. */
export interface LifecycleCommit {
  readonly seen: Pick<LifecycleVersion, 'key' | 'seq' | 'versionId' | 'mark'>;
  readonly writeId: WriteId;
  readonly does: /** A plain DELETE, or that of the version. */
    | { readonly kind: 'delete' }
    | { readonly kind: 'delete-version' }
    | { readonly kind: 'set-class'; readonly storageClass: string };
  /** Only while so many newer noncurrent versions are there. */
  readonly keepNewer?: number;
  /** Only while the key has no other version. */
  readonly alone?: boolean;
  readonly cause: Cause;
}

/** `changed`: it was not as seen any more. `locked`: object lock keeps it. */
export type LifecycleResult = 'done' | 'changed' | 'locked';

/** All reject with CatalogUnavailable. */
export interface LifecycleSource {
  lifecyclePairs(): readonly PairId[];
  /** The bucket of this directory that is due and was looked at longest ago, leased; null: none. */
  takeLifecycle(pair: PairId, owner: string, leaseMs: number): Promise<LifecycleTurn | null>;
  /** Prolongs the lease; 0 gives it up. False: it is somebody else's turn. */
  saveLifecycle(turn: LifecycleTurn, leaseMs: number, save: LifecycleSave): Promise<boolean>;
  /** The versions under a prefix that come after a place. `keep`: up to how many newer versions count. */
  lifecyclePage(
    turn: LifecycleTurn,
    query: { prefix: string; key: string; seq: number; max: number; keep: number },
  ): Promise<LifecyclePage>;
  /** In the order asked for. Null: the rules are others by now, or the bucket is not there. */
  applyLifecycle(
    turn: LifecycleTurn,
    commits: readonly LifecycleCommit[],
  ): Promise<readonly LifecycleResult[] | null>;
}
