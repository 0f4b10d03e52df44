/**
 * What nodes keep beside blobs, so that a catalog can be made anew from them alone: whose blobs they are, and records of
 * names (object versions, buckets, accounts), which are opaque here. Of two records of the same id the one with the
 * higher change number is the younger; a tombstone is a record like any other.
 */
import type { BlobId, Epoch } from '../base/ids.ts';
import type { RangeDigest } from './protocol.ts';

export interface NameRecord {
  /** 32 hex digits: what it is about. */
  readonly id: string;
  /** The highest wins. */
  readonly change: number;
  /** The version, bucket or account is gone. */
  readonly isDeleted: boolean;
  /** JSON, at most NAME_BODY_BYTES_MAX. */
  readonly body: string;
}
export type NameKey = Pick<NameRecord, 'id' | 'change' | 'isDeleted'>;

/** A multipart object of 10,000 parts takes about 3 MB. */
export const NAME_BODY_BYTES_MAX = 6 * 1024 * 1024;
/** Records in one request, and the bytes of their bodies (a single one may have more). */
export const NAMES_MAX = 1_000;
export const NAMES_BYTES_MAX = 2 * 1024 * 1024;

export interface NamesPage {
  readonly records: readonly NameRecord[];
  /** Ask again after this id; null: that was all. */
  readonly next: string | null;
}

/** All reject with NodeError. */
export interface NodeNames {
  /**
   * Remembers whose blobs the node keeps, durably. From then on it removes nothing for anybody who names another catalog.
   * Refused (`conflict`) where it remembers another one, unless that one is named in `instead`.
   */
  adoptCatalog(id: string, instead?: string): Promise<void>;
  /**
   * Keeps records, durably; older ones than what is here are passed over. With an epoch it needs a node that serves (`fenced`,
   * `stale-epoch`), without one it is for the return of a member and answered in every state. Answers how many it took.
   */
  putNames(records: readonly NameRecord[], options?: { epoch?: Epoch }): Promise<number>;
  /** By id. `prefix`: 2 or 4 hex digits. A damaged record is left out, and counted in its status. */
  names(query: { after?: string; max: number; prefix?: string }): Promise<NamesPage>;
  /** Like `digests` of blobs; a record's digest stands for its change number and its bytes. */
  nameDigests(prefix?: string): Promise<readonly RangeDigest[]>;
  /** Forgets every record whose change is below `below`, tombstones below `tombstonesBelow`, and these; answers how many went. */
  trimNames(order: { below?: number; tombstonesBelow?: number; ids?: readonly string[] }): Promise<number>;
  /**
   * These blobs are named by nobody any more: pending again, as if their writes had begun at `intentAt`, so that the reaper
   * looks at them when that is long enough ago. Passes over what is pending or unknown. At most 1,000.
   */
  release(ids: readonly BlobId[], intentAt: number): Promise<void>;
}
